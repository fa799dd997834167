"""`Paper`, `Patches` and `Sequence`: neural networks with scikit-learn's contract."""

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

from weightspace.arrays import Float, Float32, Float64, Int
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
    """One network for each labeling, over the same rows."""

    networks: tuple[nn.Module, ...]
    levels: tuple[int, ...]
    device: str

    def log_probabilities(
        self, features: Float[np.ndarray, "n length"]
    ) -> list[Float64[np.ndarray, "n _"]]:
        """For each labeling, with a column for each of its levels."""
        return [log_probabilities(network, features, self.device) for network in self.networks]


class TrainedNetwork(MetaClassifier):
    """The base class of networks that are trained on rows X [n, L].

    In each epoch the network sees one row of every net: a fresh one if `draw` is set, which
    `evaluate` does for slices, otherwise a random row of the net in X.

    Parameters
    ----------
    epochs : int
        Passes over the nets.
    batch_size : int
        Rows in a training step, at least 2.
    learning_rate : float
        Adam's learning rate.
    device : str
        The name of a torch device, or "auto": a GPU if there is one.
    seed : int
        The seed of the initial weights and the batches.
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
        """Make the network, from rows [n, length] to scores [n, classes].

        Parameters
        ----------
        length : int
            Values of a row.
        classes : int
            The number of classes.

        Returns
        -------
        torch.nn.Module
        """

    def prepare(self, network: nn.Module, features: Float[np.ndarray, "n length"]) -> nn.Module:
        """Prepare the network for training on given rows.

        Parameters
        ----------
        network : torch.nn.Module
            What `network` returned.
        features : ndarray, shape (n, L)
            The training rows.

        Returns
        -------
        torch.nn.Module
        """
        return network

    def fit_labelings(
        self,
        features: Float[np.ndarray, "n length"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        groups: Int[np.ndarray, " n"],
    ) -> Networks:
        """Train one network for each labeling, one after the other.

        Parameters
        ----------
        features, codes, levels, groups
            As for `MetaClassifier.fit_labelings`.

        Returns
        -------
        Networks

        Raises
        ------
        UsageError
            If there is no such device, or `epochs` or `batch_size` is too small.
        """
        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UsageError("device", f"{self.device}: torch finds no such device", "use cpu")
        if self.epochs < 1 or self.batch_size < 2:
            raise UsageError(
                f"epochs {self.epochs}, batch_size {self.batch_size}", "give at least 1 and 2"
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

    def _begun(self, features: Float[np.ndarray, "n length"], classes: int) -> nn.Module:
        return self.prepare(self.network(features.shape[1], classes), features)

    def _tell(self, before: int, whole: int, done: int) -> None:
        self.progress("training epochs", before + done, whole)

    def save(self, directory: str | Path) -> Path:
        """Write a fitted network into a folder, as network.json and network.safetensors.

        A network that is already there is replaced in one step, and stays if writing fails. The new
        arrays then have another file name, which network.json states.

        Parameters
        ----------
        directory : str or Path
            The folder; it is made if it does not exist.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        UsageError
            If the folder has a network.json that is not weightspace's.
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
        """Read a network that `save` wrote; nothing is executed.

        Parameters
        ----------
        directory : str or Path
            The folder.

        Returns
        -------
        TrainedNetwork
            A fitted estimator, on the CPU.

        Raises
        ------
        DataError
            If the files are damaged, or belong to another class.
        """
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
            with torch.device("meta"):  # to compare shapes without using memory
                promised = own.network(*shape).state_dict()
            if {k: v.shape for k, v in promised.items()} != {k: v.shape for k, v in state.items()}:
                raise ValueError("its arrays are not those of a network of this length")
            network = own.network(*shape)
            network.load_state_dict(state)
        except (*DAMAGE, RuntimeError, OverflowError) as error:
            said = printable(" ".join(str(error).split()))
            raise DataError(
                directory, f"not a complete network ({said})", "train it again"
            ) from None
        own.fitted_ = Networks((network.eval(),), (len(own.classes_),), "cpu")
        return own


class SliceNetwork(TrainedNetwork):
    """The base class of networks that read slices, X [n, L], as they are.

    See `TrainedNetwork` for the parameters.
    """

    @abstractmethod
    def architecture(self, length: int) -> Architecture:
        """The layers for slices of a given length.

        Parameters
        ----------
        length : int
            Values of a slice.

        Returns
        -------
        Architecture
        """

    def network(self, length: int, classes: int) -> Network:
        """Make the network of this architecture.

        Parameters
        ----------
        length : int
            Values of a slice.
        classes : int
            The number of classes.

        Returns
        -------
        Network
        """
        return Network(self.architecture(length), length, classes)


class Paper(SliceNetwork):
    """The local network of Eilertsen et al., with 371 million multiply-adds for a slice.

    It has twelve convolutions of width 5 (fifteen for slices of more than 40,000 values), each with
    ReLU and batch norm, eight poolings, and dense layers 1024 x4 and 64 with dropout 0.5. It is
    trained with Adam at 1e-3 in batches of 64, for 50 epochs. See `TrainedNetwork` for the
    parameters.

    Notes
    -----
    Eilertsen et al., "Classifying the classifier: dissecting the weight space of neural networks",
    ECAI 2020.
    """

    def architecture(self, length: int) -> Architecture:
        """The paper's network for this length."""
        return paper(length)


class Patches(SliceNetwork):
    """A network with the receptive field of `Paper`, 2,348 values, at a hundredth of its cost.

    It has patches of 84 values in strides of 8, then separable convolutions and poolings. See
    `TrainedNetwork` for the parameters.
    """

    def architecture(self, length: int) -> Architecture:
        """The same layers for every length."""
        return PATCHES


class Sequence(TrainedNetwork):
    """A network on tokens: the same perceptron for each token, then attention over the tokens.

    The columns of X [n, F] are `tokens` rows of equal length, as `weightspace.features.tokens`
    makes them from the layers of a net; the last one is filled with 0 if F is not a multiple. The
    network knows the position of each token. Columns are standardised by the training rows.

    Parameters
    ----------
    epochs, batch_size, learning_rate, device, seed
        As for `TrainedNetwork`.
    tokens : int
        The number of tokens.
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
        """Make the network for rows of so many columns."""
        return TokenNetwork(length, self.tokens, classes)

    def prepare(self, network: nn.Module, features: Float[np.ndarray, "n length"]) -> nn.Module:
        """Set the mean and the deviation of the columns from these rows."""
        assert isinstance(network, TokenNetwork)
        network.standardise(features)
        return network


def _of(nets: Int[np.ndarray, " nets"], draw: Draw) -> Draw:
    """Draw fresh slices of the nets at these positions in `nets`, and of no others."""
    return lambda places, rng: draw(nets[places], rng)


def _among(
    features: Float[np.ndarray, "n length"],
    groups: Int[np.ndarray, " n"],
    nets: Int[np.ndarray, " nets"],
) -> Draw:
    """Draw a random row of each net."""
    order = np.argsort(groups, kind="stable")
    first = np.searchsorted(groups[order], nets)
    counts = np.diff([*first, len(order)])

    def draw(
        places: Int[np.ndarray, " n"], rng: np.random.Generator
    ) -> Float32[np.ndarray, "n length"]:
        picked = first[places] + (rng.random(len(places)) * counts[places]).astype(np.int64)
        return np.ascontiguousarray(features[order[picked]], np.float32)

    return draw
