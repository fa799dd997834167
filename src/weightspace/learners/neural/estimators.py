"""`Paper`, `Patches` and `Sequence`: networks behind scikit-learn's contract."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from weightspace.disk import InnerPath, make_root
from weightspace.errors import DataError, UsageError
from weightspace.features import TOKENS
from weightspace.learners.committed import DAMAGE, Committed
from weightspace.learners.estimators import MetaClassifier
from weightspace.learners.neural.architectures import PATCHES, Architecture, Network, paper
from weightspace.learners.neural.tokens import TokenNetwork
from weightspace.learners.neural.training import Draw, Plan, log_probabilities, train
from weightspace.printable import printable

_KEYS = {"network", "parameters", "length", "classes"}
_FILES = Committed("network", "network", "network", lambda plain: plain.keys() >= _KEYS)


@dataclass(frozen=True)
class Networks:
    """One network a labeling, over the same rows."""

    networks: tuple[nn.Module, ...]
    levels: tuple[int, ...]
    device: str

    def log_probabilities(self, features: np.ndarray) -> list[np.ndarray]:
        """Per labeling, float64 [n, levels] of rows [n, L]."""
        return [log_probabilities(network, features, self.device) for network in self.networks]


class TrainedNetwork(MetaClassifier):
    """A network that is trained on rows X [n, L].

    An epoch shows one row of every net: a fresh one where `draw` is set (what `evaluate` does with
    slices), else one of the net's rows of X by chance. `device` is a torch device's name, or
    "auto": a GPU where there is one. `progress` is told of finished epochs.
    """

    def __init__(
        self,
        epochs: int = 50,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        device: str = "auto",
        seed: int = 0,
    ):
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.device = device
        self.seed = seed

    @abstractmethod
    def network(self, length: int, classes: int) -> nn.Module:
        """The network for rows of so many values: [n, length] to scores [n, classes]."""

    def prepare(self, network: nn.Module, features: np.ndarray) -> nn.Module:
        """The network before its training on rows of `features`."""
        return network

    def fit_labelings(
        self, features: np.ndarray, codes: np.ndarray, levels: tuple[int, ...], groups: np.ndarray
    ) -> Networks:
        """One network a labeling, trained one after the other."""
        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UsageError(f"device: {self.device}: torch finds no such device; use cpu")
        if self.epochs < 1 or self.batch_size < 2:
            raise UsageError(
                f"epochs {self.epochs}, batch_size {self.batch_size}: give at least 1 and 2"
            )
        nets, first = np.unique(groups, return_index=True)
        draw = self.draw and _of(nets, self.draw)
        own = draw or _among(features, groups, nets)
        plan = Plan(self.epochs, self.batch_size, self.learning_rate, device, self.seed)
        whole = len(levels) * self.epochs
        networks = []
        for j, count in enumerate(levels):
            progress = partial(self._tell, j * self.epochs, whole)
            own_codes = codes[first, j].astype(np.int64)
            build = partial(self._begun, features, count)
            networks.append(train(build, own_codes, count, own, plan, progress))
        return Networks(tuple(networks), levels, device)

    def _begun(self, features: np.ndarray, classes: int) -> nn.Module:
        return self.prepare(self.network(features.shape[1], classes), features)

    def _tell(self, before: int, whole: int, done: int) -> None:
        self.progress("training epochs", before + done, whole)

    def save(self, directory: str | Path) -> Path:
        """Write a fitted network into a folder: network.json and network.safetensors.

        A network that is there is replaced in one step (its arrays then have another name, which
        network.json says), and stays where writing fails. UsageError where the network.json there
        is none of weightspace.
        """
        check_is_fitted(self)
        folder = make_root(Path(directory))
        assert isinstance(self.fitted_, Networks)
        state = self.fitted_.networks[0].state_dict()
        plain = {
            "network": type(self).__name__,
            "parameters": self.get_params(),
            "length": self.n_features_in_,
            "classes": self.classes_.tolist(),
        }
        _FILES.write(folder, plain, {name: t.cpu().numpy() for name, t in state.items()})
        return Path(directory)

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read what `save` wrote; DataError where it is damaged or another network's."""
        folder = InnerPath(Path(directory))
        try:
            plain = _FILES.read(folder)
            if plain["network"] != cls.__name__:
                raise ValueError(f"it is a {plain['network']}, not a {cls.__name__}")
            own = cls(**(plain["parameters"] | {"device": "cpu"}))
            own.n_features_in_, own.classes_ = int(plain["length"]), np.array(plain["classes"])
            arrays = _FILES.read_arrays(folder, plain)
            state = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
            if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
                raise ValueError("a weight is not finite")
            shape = own.n_features_in_, len(own.classes_)
            with torch.device("meta"):  # of the size that is promised, in no memory
                promised = own.network(*shape).state_dict()
            if {k: v.shape for k, v in promised.items()} != {k: v.shape for k, v in state.items()}:
                raise ValueError("its arrays are not those of a network of this length")
            network = own.network(*shape)
            network.load_state_dict(state)
        except (*DAMAGE, RuntimeError, OverflowError) as error:
            said = printable(" ".join(str(error).split()))
            raise DataError(f"{directory}: no sound network ({said}); train it again") from None
        own.fitted_ = Networks((network.eval(),), (len(own.classes_),), "cpu")
        return own


class SliceNetwork(TrainedNetwork):
    """A network that reads slices, X [n, L], as they are."""

    @abstractmethod
    def architecture(self, length: int) -> Architecture:
        """The layers for slices of so many values."""

    def network(self, length: int, classes: int) -> Network:
        """The network of this architecture."""
        return Network(self.architecture(length), length, classes)


class Paper(SliceNetwork):
    """The local network of Eilertsen et al. (ECAI 2020): 371 million multiply-adds a slice.

    Twelve convolutions of width 5 (fifteen for slices beyond 40,000 values), each with ReLU and
    batch norm, eight poolings; dense layers 1024 x4 and 64 with dropout 0.5; Adam 1e-3, batches
    of 64, 50 epochs, a fresh slice per sample.
    """

    def architecture(self, length: int) -> Architecture:
        """The paper's network for this length."""
        return paper(length)


class Patches(SliceNetwork):
    """The paper's field of view, 2,348 values, at a hundredth of its arithmetic.

    Patches of 84 values in strides of 8, then separable convolutions and poolings.
    """

    def architecture(self, length: int) -> Architecture:
        """The same for every length."""
        return PATCHES


class Sequence(TrainedNetwork):
    """A network on tokens: one perceptron for all of them, then attention decides which count.

    The columns of X [n, F] are `tokens` rows of equal length (the last is filled with 0 where they
    do not divide), as `weightspace.features.tokens` makes them of a net's layers. Each token is
    known by its place. Columns are standardised by the training rows.
    """

    def __init__(
        self,
        epochs: int = 100,
        batch_size: int = 32,
        learning_rate: float = 2e-3,
        device: str = "auto",
        seed: int = 0,
        tokens: int = TOKENS,
    ):
        super().__init__(epochs, batch_size, learning_rate, device, seed)
        self.tokens = tokens

    def network(self, length: int, classes: int) -> TokenNetwork:
        """The network for rows of so many columns."""
        return TokenNetwork(length, self.tokens, classes)

    def prepare(self, network: nn.Module, features: np.ndarray) -> nn.Module:
        """Standardise by these rows from now on."""
        assert isinstance(network, TokenNetwork)
        network.standardise(features)
        return network


def _of(nets: np.ndarray, draw: Draw) -> Draw:
    """Fresh slices of the nets at these places among `nets`, and of no others."""
    return lambda places, rng: draw(nets[places], rng)


def _among(features: np.ndarray, groups: np.ndarray, nets: np.ndarray) -> Draw:
    """A row by chance of each net's own."""
    order = np.argsort(groups, kind="stable")
    first = np.searchsorted(groups[order], nets)
    counts = np.diff([*first, len(order)])

    def draw(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        picked = first[places] + (rng.random(len(places)) * counts[places]).astype(np.int64)
        return np.ascontiguousarray(features[order[picked]], np.float32)

    return draw
