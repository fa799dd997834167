"""`Recipe`: all settings of one training run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from weightspace.errors import UsageError
from weightspace.markup import summary
from weightspace.space.distributions import number_hint


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings of one training run; equal recipes train to equal weights.

    A recipe cannot be changed after it is made.

    Parameters
    ----------
    dataset : str
        The name of an image set (`weightspace.images.load`).
    seed : int
        The seed of every random number of the run.
    learning_rate : float
        The learning rate at the start, below 100.
    batch_size : int
        Images in a training step, at least 2.
    augmentation : bool
        Whether training images are augmented.
    optimizer, activation, initialization : str
        Names in the tables of `weightspace.training.names`. They are checked when training starts,
        so that new entries of the tables can be used.
    filter_size : int
        The side of the convolution kernels in pixels, odd, from 1 to 15.
    depth_conv, depth_fc : int
        The numbers of convolutions and of hidden dense layers.
    width_conv, width_fc : int
        Channels of the first convolution; values of the first hidden dense layer.
    blocks : int
        The number of pooled blocks of convolutions.
    batch_norm : bool
        Whether layers have batch norm.
    dropout : float
        The probability of dropping a value of a hidden dense layer in training, below 1.
    weight_decay : float
        The factor of weight decay, from 0 to 1.
    label_smoothing : float
        The share of label smoothing, below 1.
    input_size : int
        The side of the input images in pixels.
    channels : int
        1 (grey) or 3 (colour).
    outputs : int
        The number of logits.
    epochs : int
        Passes over the training images; with `stopping="convergence"` at most so many.
    train_images : int
        Images of the training set that are used, including those for validation; 0 means all.
    learning_rate_decay : float
        The factor of the learning rate after each epoch.
    label_noise : float
        The share of training labels that are replaced by another class.
    architecture : str
        How widths and depths become layers (`networks.architectures.ARCHITECTURES`).
    stopping : {"epochs", "convergence"}
        Whether to train for `epochs`, or only until the net has converged.
    train_fraction : float
        The share of `train_images` that is used.
    norm : {"batch", "layer", "group"}
        The kind of norm, if layers have one.
    norm_position : {"architecture", "before", "after"}
        Whether norms come before or after the activation; by default as the architecture has it.
    bias : bool
        Whether layers that a norm follows have a bias.
    padding : {"architecture", "same", "none"}
        Whether convolutions keep the size of the image.
    pooling : {"architecture", "max", "average", "stride", "none"}
        How the image becomes smaller at the end of a block: by a pool, or by the stride of its last
        convolution.
    pool_size : int
        The side of the pools, or the stride.
    global_pool : bool
        Whether each channel is averaged before the dense layers.
    dropout_conv : float
        The probability of dropping a value after a block of convolutions in training, below 1.
    momentum : float
        The momentum of `momentum` and `nesterov`, below 1.
    beta1, beta2 : float
        The factors of the running means of `adam`, `adamw` and `lion`, below 1.
    alpha : float
        The factor of the running mean of `rmsprop`, below 1.
    epsilon : float
        What adaptive optimizers add to the denominator.
    schedule : str
        How the learning rate changes (`training.schedules.SCHEDULES`).
    warmup : float
        Epochs in which the learning rate rises in a line from 0.
    decay_epochs : int
        Epochs between two steps of the schedule `step`.
    gradient_clipping : float
        The largest norm of a gradient; 0 for no clipping.
    drop_last : bool
        Whether the last batch of an epoch is dropped if it is not full.
    ema : float
        The factor of a moving average of the weights, which snapshots then hold; 0 for none.
    inputs : {"unit", "centered", "standardized"}
        Pixels from 0 to 1, from -1 to 1, or with mean 0 and variance 1 in each channel of the
        training images.
    augmentations : {"nws", "flip_crop", "flip", "crop"}
        What `augmentation` does.
    features : int
        The number of values of an input that is no image, as in a table; 0 for images.

    Attributes
    ----------
    net : str
        The identity of the net.

    Raises
    ------
    UsageError
        If a value is not possible.

    Notes
    -----
    The defaults are those of the fixed architecture of the NWS data set (Eilertsen et al.,
    "Classifying the classifier: dissecting the weight space of neural networks", ECAI 2020).

    Examples
    --------
    >>> recipe = Recipe(dataset="mnist", optimizer="momentum")
    >>> recipe.learning_rate, len(recipe.net)
    (0.001, 16)
    >>> Recipe.from_json(recipe.to_json()) == recipe
    True
    """

    dataset: str
    seed: int = 0
    learning_rate: float = 1e-3
    batch_size: int = 64
    augmentation: bool = False
    optimizer: str = "adam"
    activation: str = "relu"
    initialization: str = "glorot_uniform"
    filter_size: int = 5
    depth_conv: int = 3
    depth_fc: int = 2
    width_conv: int = 8
    width_fc: int = 128
    blocks: int = 3
    batch_norm: bool = True
    dropout: float = 0.5
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    input_size: int = 32
    channels: int = 3
    outputs: int = 20
    epochs: int = 20
    train_images: int = 0
    """Images of the training set that are used, including those for validation; 0 means all."""
    learning_rate_decay: float = 1.0
    """The factor of the learning rate after each epoch."""
    label_noise: float = 0.0
    """The share of training labels that are replaced by another class."""
    architecture: str = "nws"
    """How widths and depths become layers (`networks.architectures.ARCHITECTURES`)."""
    stopping: str = "epochs"
    """Whether to train for `epochs`, or only until the net has converged ("convergence")."""
    train_fraction: float = 1.0
    """The share of `train_images` that is used."""
    norm: str = "batch"
    norm_position: str = "architecture"
    bias: bool = True
    padding: str = "architecture"
    pooling: str = "architecture"
    pool_size: int = 2
    global_pool: bool = False
    dropout_conv: float = 0.0
    momentum: float = 0.95
    beta1: float = 0.9
    beta2: float = 0.999
    alpha: float = 0.9
    epsilon: float = 1e-8
    schedule: str = "exponential"
    warmup: float = 0.0
    decay_epochs: int = 30
    gradient_clipping: float = 0.0
    drop_last: bool = True
    ema: float = 0.0
    inputs: str = "unit"
    augmentations: str = "nws"
    features: int = 0

    def __post_init__(self) -> None:
        for name in _RULES:
            object.__setattr__(self, name, checked(name, getattr(self, name)))
        if 0 < self.depth_conv < self.blocks:
            raise UsageError(
                "depth_conv",
                f"{self.depth_conv} layers cannot fill {self.blocks} blocks",
                "lower blocks or raise depth_conv",
            )
        if self.depth_conv and not self.features and self.input_size >> self.blocks < 1:
            raise UsageError(
                "input_size",
                f"{self.input_size} pixels vanish under {self.blocks} poolings",
                "lower blocks or raise input_size",
            )

    @cached_property
    def net(self) -> str:
        """The identity of the net: 16 hex digits of the recipe's hash.

        Fields with their default value are not hashed. So a field that a later version adds does
        not change the identity of older nets. For the same reason a default never changes.
        """
        said = {k: v for k, v in self.to_dict().items() if v != DEFAULTS.get(k)}
        text = json.dumps(said, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def size(self) -> tuple[int, int]:
        """The side and the channels of the images; (features, 0) of inputs that are no images."""
        return (self.features, 0) if self.features else (self.input_size, self.channels)

    def used_images(self, there: int) -> int:
        """The number of training images that the net gets, including those for validation.

        Parameters
        ----------
        there : int
            The number of images in the training set.

        Returns
        -------
        int
        """
        return max(1, round(self.train_fraction * (self.train_images or there)))

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, in the order of its fields."""
        return {name: getattr(self, name) for name in FIELDS}

    def _repr_html_(self) -> str:
        said = [
            (name, str(value) if name == "seed" else value)  # a seed has no commas
            for name, value in self.to_dict().items()
            if value != DEFAULTS.get(name)
        ]
        note = "All other hyper-parameters have their defaults."
        return summary(
            f"Recipe of net {self.net}", headings=("name", "value"), rows=said, note=note
        )

    def to_json(self) -> str:
        """The recipe as one line of JSON, in the order of its fields."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Make a recipe from plain values.

        Parameters
        ----------
        values : dict
            Fields and their values; fields left out get their default.

        Returns
        -------
        Recipe

        Raises
        ------
        UsageError
            If a field is unknown or a value is not possible.
        """
        unknown = sorted(set(values) - set(FIELDS))
        if unknown:
            raise UsageError(
                unknown[0], "no such hyper-parameter", f"known are {', '.join(FIELDS)}"
            )
        if "dataset" not in values:
            raise UsageError("dataset", "a recipe needs one")
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Make a recipe from what `to_json` returned.

        Parameters
        ----------
        text : str
            A JSON object.

        Returns
        -------
        Recipe

        Raises
        ------
        UsageError
            If the text is not a recipe.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise UsageError("recipe", f"not JSON ({error})") from None
        if not isinstance(values, dict):
            raise UsageError("recipe", "a mapping of hyper-parameters is needed")
        return cls.from_dict(values)


FIELDS: dict[str, type] = {
    field.name: {"str": str, "int": int, "float": float, "bool": bool}[str(field.type)]
    for field in dataclasses.fields(Recipe)
}

DEFAULTS: dict[str, Any] = {
    field.name: field.default
    for field in dataclasses.fields(Recipe)
    if field.default is not dataclasses.MISSING
}


def checked(name: str, value: Any) -> Any:
    """The value of a hyper-parameter in the form that recipes hold; UsageError if not possible."""
    rule, holds = _RULES[name]
    if not _has_type(value, FIELDS[name]) or not holds(value):
        hint = number_hint(value) if FIELDS[name] in (int, float) else ""
        raise UsageError(name, f"{value!r} is not {rule}{hint}")
    # 1 and 1.0 are the same run and must give the same net, and so are 0.0 and -0.0.
    return float(value) + 0.0 if FIELDS[name] is float else value


def _has_type(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


_WORD = ("a name", lambda v: bool(v))
_SWITCH = ("true or false", lambda v: True)
_FRACTION = ("a number from 0 up to, not including, 1", lambda v: 0 <= v < 1)


def _whole(low: int, high: int) -> tuple[str, Any]:
    return f"a whole number from {low} to {high:,}", lambda v: low <= v <= high


def _one_of(*names: str) -> tuple[str, Any]:
    return f"{', '.join(names[:-1])} or {names[-1]}", lambda v: v in names


_RULES: dict[str, tuple[str, Any]] = {
    "dataset": _WORD,
    "seed": _whole(0, 2**63 - 1),
    "learning_rate": ("a positive number below 100", lambda v: 0 < v < 100),
    "batch_size": _whole(2, 65536),
    "augmentation": _SWITCH,
    "optimizer": _WORD,
    "activation": _WORD,
    "initialization": _WORD,
    "filter_size": ("an odd whole number from 1 to 15", lambda v: v % 2 == 1 and 1 <= v <= 15),
    "depth_conv": _whole(0, 64),
    "depth_fc": _whole(0, 64),
    "width_conv": _whole(1, 4096),
    "width_fc": _whole(2, 65536),
    "blocks": _whole(1, 6),
    "batch_norm": _SWITCH,
    "dropout": _FRACTION,
    "weight_decay": ("a number from 0 to 1", lambda v: 0 <= v <= 1),
    "label_smoothing": _FRACTION,
    "input_size": _whole(4, 256),
    "channels": ("1 or 3", lambda v: v in (1, 3)),
    "outputs": _whole(2, 100_000),
    "epochs": _whole(1, 100_000),
    "train_images": _whole(0, 2**31),
    "learning_rate_decay": ("a factor above 0, at most 1", lambda v: 0 < v <= 1),
    "label_noise": _FRACTION,
    "architecture": _WORD,
    "train_fraction": ("a share above 0, at most 1", lambda v: 0 < v <= 1),
    "stopping": _one_of("epochs", "convergence"),
    "norm": _one_of("batch", "layer", "group"),
    "norm_position": _one_of("architecture", "before", "after"),
    "bias": _SWITCH,
    "padding": _one_of("architecture", "same", "none"),
    "pooling": _one_of("architecture", "max", "average", "stride", "none"),
    "pool_size": _whole(2, 16),
    "global_pool": _SWITCH,
    "dropout_conv": _FRACTION,
    "momentum": _FRACTION,
    "beta1": _FRACTION,
    "beta2": _FRACTION,
    "alpha": _FRACTION,
    "epsilon": ("a positive number below 1", lambda v: 0 < v < 1),
    "schedule": _WORD,
    "warmup": ("a number of epochs from 0", lambda v: 0 <= v <= 100_000),
    "decay_epochs": _whole(1, 100_000),
    "gradient_clipping": ("a number from 0", lambda v: 0 <= v <= 1e6),
    "drop_last": _SWITCH,
    "ema": _FRACTION,
    "inputs": _one_of("unit", "centered", "standardized"),
    "features": _whole(0, 10_000_000),
    "augmentations": _one_of("nws", "flip_crop", "flip", "crop"),
}
