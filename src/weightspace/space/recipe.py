"""`Recipe`: everything that decides one training run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from weightspace.errors import UsageError
from weightspace.space.distributions import number_hint


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run, immutable. Two equal recipes train to equal weights.

    The defaults are those of the fixed architecture of the NWS data set (Eilertsen et al.,
    ECAI 2020). Names of optimizers, activations and initializations are checked where they are
    looked up, so that a new one needs no change here.
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
    """Images of the training set that are used, validation included; 0 means all of them."""
    learning_rate_decay: float = 1.0
    """The learning rate is multiplied by this after every epoch."""
    label_noise: float = 0.0
    """The share of training labels that are replaced by another class."""
    architecture: str = "nws"
    """Which convolutions the widths and depths describe (`networks.plan.ARCHITECTURES`)."""
    stopping: str = "epochs"
    """Whether a net trains for `epochs`, or only until it converges, for as many at most."""
    train_fraction: float = 1.0
    """The share of `train_images` that is used."""

    def __post_init__(self) -> None:
        for name in _RULES:
            object.__setattr__(self, name, checked(name, getattr(self, name)))
        if self.depth_conv < self.blocks:
            raise UsageError(
                f"depth_conv: {self.depth_conv} layers cannot fill {self.blocks} blocks; "
                "lower blocks or raise depth_conv"
            )
        if self.input_size >> self.blocks < 1:
            raise UsageError(
                f"input_size: {self.input_size} pixels vanish under {self.blocks} poolings; "
                "lower blocks or raise input_size"
            )

    @cached_property
    def net(self) -> str:
        """The net's identity: 16 hex digits of the recipe's hash.

        Fields at their default are left out of it, so that a field which a later version adds
        changes no identity; for the same reason a default never changes.
        """
        said = {k: v for k, v in self.to_dict().items() if v != DEFAULTS.get(k)}
        text = json.dumps(said, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def used_images(self, there: int) -> int:
        """How many of `there` training images the net is given, validation included."""
        return max(1, round(self.train_fraction * (self.train_images or there)))

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, in the order of its fields."""
        return {name: getattr(self, name) for name in FIELDS}

    def to_json(self) -> str:
        """The recipe as one line of JSON, keys in the order of the fields."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """The recipe with these values; unknown keys are refused by name."""
        unknown = sorted(set(values) - set(FIELDS))
        if unknown:
            raise UsageError(
                f"{unknown[0]}: no such hyper-parameter; known are {', '.join(FIELDS)}"
            )
        if "dataset" not in values:
            raise UsageError("dataset: a recipe needs one")
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The inverse of `to_json`."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise UsageError(f"recipe: not JSON ({error})") from None
        if not isinstance(values, dict):
            raise UsageError("recipe: a mapping of hyper-parameters is needed")
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
    """The value of a hyper-parameter as a recipe holds it; UsageError where it cannot have it."""
    rule, holds = _RULES[name]
    if not _has_type(value, FIELDS[name]) or not holds(value):
        hint = number_hint(value) if FIELDS[name] in (int, float) else ""
        raise UsageError(f"{name}: {value!r} is not {rule}{hint}")
    # 1 and 1.0, and 0.0 and -0.0, are the same run and must give the same net.
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
    "depth_conv": _whole(1, 64),
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
    "stopping": ("epochs or convergence", lambda v: v in ("epochs", "convergence")),
}
