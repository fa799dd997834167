"""`space_around`: the trainings that could have given a checkpoint, as a space to sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from weightspace.audit.claims import Claims
from weightspace.audit.numbers import is_number
from weightspace.audit.verdicts import LEVEL, p_value_of
from weightspace.checkpoints import Inspection
from weightspace.errors import UsageError
from weightspace.evidence import Evidence
from weightspace.images import ImageSet
from weightspace.networks import Plan
from weightspace.networks.chains import written
from weightspace.networks.grammar import Activation, Dense, Dropout, Flatten, Layer
from weightspace.space import Space

SCALE = {"adam": 0.03, "adamw": 0.03, "rmsprop": 0.03, "adagrad": 0.3, "lion": 0.01}
"""Usual learning rates of optimizers, in units of those of SGD."""
LINEAR_RATES = (0.003, 0.1)
"""Usual learning rates of SGD, with momentum or without."""
USUAL: Mapping[str, tuple[Any, ...]] = {
    "optimizer": ("sgd", "momentum", "adam", "adamw", "rmsprop"),
    "batch_size": (16, 32, 64, 128, 256),
    "weight_decay": (0.0, 0.0005, 0.005),
    "label_smoothing": (0.0, 0.1),
    "dropout": (0.0, 0.25, 0.5),
    "augmentation": (False, True),
    "initialization": ("torch_default", "he_normal", "glorot_uniform"),
    "inputs": ("unit", "standardized"),
    "activation": ("relu", "tanh"),
    "schedule": ("exponential", "cosine"),
    "epochs": (2, 4, 8, 15),
}
"""What people use: the values of each hyper-parameter that varies, without claims or evidence."""
_BESIDE = 1.5
"""How far the range of learning rates goes beyond a claimed one."""
_CLOSE = 1.45
"""Numbers that differ by less are not both sampled: no reading would tell them apart."""
_NEAR = 0.15
"""The same for rates of dropout, label smoothing and such, which may be 0."""


def space_around(
    found: Inspection,
    evidence: Sequence[Evidence],
    claims: Claims,
    images: ImageSet,
    module: str | None = None,
    reads: frozenset[str] = frozenset(),
) -> Space:
    """Make the space around a checkpoint.

    What is claimed or measured of the length of the training is fixed. Every other hyper-parameter
    varies over what people use: values that the laws of training rule out are left out, and a
    claimed value takes the place of those that are close to it.

    Parameters
    ----------
    found : Inspection
        What the file says about itself.
    evidence : sequence of Evidence
        What the laws of training say of it.
    claims : Claims
        What is claimed.
    images : ImageSet
        The training data.
    module : str, optional
        The architecture, as "net.py:build". By default the layers follow from the shapes.
    reads : frozenset of str
        The hyper-parameters that the module reads.

    Returns
    -------
    Space

    Raises
    ------
    UsageError
        If the shapes leave the architecture open and no module is given, or the images do not fit
        it.
    """
    recipe = _architecture(found, images, module)
    recipe |= {"dataset": images.name, "train_images": _count(claims, images)}
    recipe |= {"momentum": claims.get("momentum") or 0.9, "alpha": 0.99, "drop_last": False}
    names = [name for name in USUAL if _varies(name, recipe, images, module, reads)]
    for name in names:
        levels = _levels(name, claims, evidence)
        recipe[name] = levels[0] if len(levels) == 1 else levels
    recipe["batch_size"] = _counted(recipe, evidence)
    recipe["learning_rate"] = _rates(recipe["optimizer"], claims)
    recipe.setdefault("augmentations", "flip_crop")
    recipe.setdefault("dropout", 0.0)
    return Space.from_dict(
        {"name": "around", "description": f"Trainings around {found.path.name}", "recipe": recipe}
    )


def _architecture(found: Inspection, images: ImageSet, module: str | None) -> dict[str, Any]:
    shape = images.x_train.shape[1:]
    flat = {"features": shape[0]} if len(shape) == 1 else {}
    if module is not None:
        sizes = flat or {"input_size": shape[0], "channels": shape[2]}
        return {"architecture": module, "outputs": len(images.classes)} | sizes
    plan = _plan(found, shape)
    if plan.outputs < len(images.classes):
        raise UsageError(
            images.name,
            f"has {len(images.classes)} classes, the net gives {plan.outputs} numbers",
            "give the data that it was trained with",
        )
    sizes = flat or {"input_size": plan.input[1], "channels": plan.input[0]}
    chain = written(with_dropout(plan.layers))
    return {"architecture": chain, "outputs": plan.outputs} | sizes


def _plan(found: Inspection, shape: tuple[int, ...]) -> Plan:
    """The first plan that takes the images."""
    plans = found.plans.plans
    if not plans:
        raise UsageError(
            str(found.path),
            f"its shapes leave the architecture open: {found.plans.reason}",
            "give its module, as net.py:build",
        )
    if len(shape) == 1:
        fitting = [plan for plan in plans if plan.input == shape]
    else:
        size = (shape[2], shape[0], shape[1])
        flat = [Plan(size, (Flatten(), *p.layers)) for p in plans if p.input == (math.prod(size),)]
        fitting = [plan for plan in plans if len(plan.input) == 3 and plan.input[0] == shape[2]]
        fitting = sorted([*fitting, *flat], key=lambda plan: plan.input != size)
    if not fitting:
        takes = " or ".join(dict.fromkeys("x".join(map(str, plan.input)) for plan in plans))
        raise UsageError(
            "data",
            f"the images are {'x'.join(map(str, shape))}, the net takes {takes}",
            "give the data that it was trained with, or its module as net.py:build",
        )
    return fitting[0]


def with_dropout(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The layers with dropout after the activation of each hidden dense layer.

    Dropout leaves no tensor, so that a plan from shapes has none. Where it has some, nothing is
    added.
    """
    if any(isinstance(layer, Dropout) for layer in layers):
        return layers
    found: list[Layer] = []
    for layer in layers:
        found.append(layer)
        if isinstance(layer, Activation) and any(isinstance(one, Dense) for one in found):
            found.append(Dropout())
    return tuple(found)


def _count(claims: Claims, images: ImageSet) -> int:
    claimed = claims.get("train_images")
    there = len(images.x_train)
    return min(int(claimed), there) if is_number(claimed) else there


def _varies(
    name: str, recipe: Mapping[str, Any], images: ImageSet, module: str | None,
    reads: frozenset[str],
) -> bool:  # fmt: skip
    """Whether a hyper-parameter changes nets of this architecture on this data."""
    if module is not None and name in ("activation", "dropout"):
        return name in reads
    if name in ("activation", "dropout"):
        return name in recipe["architecture"]
    table = images.x_train.ndim == 2 or images.x_train.dtype != "uint8"
    return not (name == "augmentation" and table)


def _levels(name: str, claims: Claims, evidence: Sequence[Evidence]) -> list[Any]:
    """The values of a hyper-parameter that are sampled, the claimed one among them."""
    claimed = claims.get(name)
    if name == "schedule" and claimed == "constant":
        claimed = "exponential"
    if name == "epochs" and is_number(claimed):
        return [max(1, round(float(claimed)))]
    about = [one for one in evidence if one.claim == name and not one.missing]
    possible = [
        value for value in USUAL[name]
        if (p := p_value_of(about, name, value)) is None or p >= LEVEL
    ] or list(USUAL[name])  # fmt: skip
    if claimed is None or claimed in possible:
        return possible
    if not _can_be_sampled(name, claimed):
        return possible
    if isinstance(claimed, bool) or not is_number(claimed):
        return [*possible, claimed]
    return sorted([*(v for v in possible if not _close(v, float(claimed))), claimed])


def _counted(recipe: Mapping[str, Any], evidence: Sequence[Evidence]) -> Any:
    """The batch sizes, where a counter of batches and known epochs leave some of them alone."""
    sizes, epochs = recipe["batch_size"], recipe["epochs"]
    steps = {
        one.estimate.value for one in evidence
        if one.claim == "steps" and one.estimate and one.estimate.low == one.estimate.high
    }  # fmt: skip
    if len(steps) != 1 or isinstance(epochs, list) or not isinstance(sizes, list):
        return sizes
    (count,), images = steps, recipe["train_images"]
    left = [b for b in sizes if count in (images // b * epochs, -(-images // b) * epochs)]
    return left[0] if len(left) == 1 else left or sizes


def _can_be_sampled(name: str, value: Any) -> bool:
    try:
        Space.from_dict({"recipe": {"dataset": "any", name: value}})
    except UsageError:
        return False
    return True


def _close(value: float, other: float) -> bool:
    low, high = sorted((value, other))
    return high - low < _NEAR if high < 1 and low == 0 else low > 0 and high / low < _CLOSE


def _rates(optimizers: Any, claims: Claims) -> dict[str, Any]:
    """The range of learning rates; a claimed one lies in it."""
    names = optimizers if isinstance(optimizers, list) else [optimizers]
    times = {name: SCALE[name] for name in names if name in SCALE}
    low, high = LINEAR_RATES
    claimed, optimizer = claims.get("learning_rate"), claims.get("optimizer")
    if is_number(claimed) and float(claimed) > 0:
        units = [times.get(str(optimizer), 1.0)] if optimizer in names else [1.0, *times.values()]
        if not any(low <= float(claimed) / unit <= high for unit in units):
            own = float(claimed) / units[0]
            low, high = min(low, own / _BESIDE), max(high, own * _BESIDE)
    plain: dict[str, Any] = {"low": low, "high": high, "scale": "log"}
    return plain | ({"times": {"optimizer": times}} if times else {})
