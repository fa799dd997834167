"""`Plane`: the directions in which features of vectors differ most, for maps of weight space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from weightspace.learners.gaussian import Gaussianiser

DIMENSIONS = 30


@dataclass(frozen=True)
class Plane:
    """Principal components of normal scores of per-layer features.

    Parameters
    ----------
    scores : Gaussianiser
        Puts each feature on one bounded scale.
    components : PCA
        At most `DIMENSIONS` principal components of the scores.
    """

    scores: Gaussianiser
    components: PCA

    @classmethod
    def fit(cls, features: np.ndarray) -> Plane:
        """Fit to features [n, F], a row for each vector."""
        scores = Gaussianiser.fit(features)
        found = scores(features)
        count = min(DIMENSIONS, *found.shape)
        return cls(scores, PCA(count, random_state=0).fit(found))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """The components of vectors with the features [n, F]: float64 [n, components]."""
        found: np.ndarray = self.components.transform(self.scores(features))
        return found


def near(components: np.ndarray) -> np.ndarray:
    """Place rows of components [n, D] by t-SNE, similar rows near each other: float32 [n, 2].

    The perplexity is 30, or a third of the rows if that is less. It starts from the first two
    components. Large distances in such a map mean little.
    """
    spread = components[:, :2] / components[:, 0].std() * 1e-4
    perplexity = min(30.0, len(components) / 3)
    embedding = TSNE(perplexity=perplexity, init=spread, random_state=0)
    found: np.ndarray = embedding.fit_transform(components)
    return found
