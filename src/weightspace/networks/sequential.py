"""A net of a zoo as a torch module, with the same layers in the same order, for other tools."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from weightspace.errors import UsageError
from weightspace.networks.activations import ACTIVATIONS
from weightspace.networks.grammar import (
    Activation,
    AdaptivePool,
    Conv,
    Dense,
    Dropout,
    Layer,
    Norm,
    Pool,
    Residual,
    Spot,
)
from weightspace.networks.plan import Plan, tensors
from weightspace.networks.stack import NORM_EPSILON, NORM_MOMENTUM
from weightspace.space import Recipe

_NORM_LEAVES = {
    "shift": "bias",
    "scale": "weight",
    "running_mean": "running_mean",
    "running_var": "running_var",
}


class Function(nn.Module):
    """An activation of `ACTIVATIONS` as a module; it has no parameters."""

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in ACTIVATIONS:
            raise UsageError(
                "activation", f"{name!r} is unknown", f"known are {', '.join(ACTIVATIONS)}"
            )
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation to every value."""
        return ACTIVATIONS[self.name](x)

    def extra_repr(self) -> str:
        """The name of the activation."""
        return self.name


class Sum(nn.Module):
    """A residual block: the sum of what two chains of modules make of one input."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Add the outputs of the two chains."""
        y: Tensor = self.body(x) + self.shortcut(x)
        return y


def sequential(
    source: Recipe | Plan, *, activation: str = "relu", dropout: float = 0.0
) -> nn.Sequential:
    """Make the torch module of a recipe or a plan, with torch's own initial weights.

    The layers are those of the plan and have its names. `state_dict` gives the weights of a net of
    the same plan; they load with `strict=True`. Call `eval()` before predicting.

    Parameters
    ----------
    source : Recipe or Plan
        The recipe, or the plan, such as one of those that `inspect` finds for a checkpoint.
    activation : str
        The activation function of a plan; a recipe has its own.
    dropout : float
        The rate of a plan's dropout layers; a recipe has its own.

    Returns
    -------
    torch.nn.Sequential
        A module from images [B, C, H, W] with values in 0..1 to logits [B, outputs].

    Raises
    ------
    UsageError
        If an activation or architecture is unknown.

    Examples
    --------
    >>> net = sequential(Recipe(dataset="mnist", depth_conv=1, blocks=1, depth_fc=1))
    >>> [name for name, _ in net.named_children()]  # doctest: +NORMALIZE_WHITESPACE
    ['conv1', 'conv1_norm', 'conv1_activation', 'conv1_pool', 'flatten',
     'fc1', 'fc1_activation', 'fc1_norm', 'fc1_dropout', 'output']
    """
    if isinstance(source, Recipe):
        activation, dropout = source.activation, source.dropout
    plan = _plan(source)
    return _chain(plan.layers, iter(plan.spots), activation, dropout)


def _plan(source: Recipe | Plan) -> Plan:
    return source if isinstance(source, Plan) else Plan.from_recipe(source)


def _chain(
    layers: tuple[Layer, ...], spots: Iterator[Spot], activation: str, dropout: float
) -> nn.Sequential:
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    count = 0
    for layer in layers:
        if isinstance(layer, Residual):
            count += 1
            sides = (layer.body, layer.shortcut)
            modules[f"block{count}"] = Sum(*(_chain(s, spots, activation, dropout) for s in sides))
        else:
            spot = next(spots)
            modules[spot.name] = _module(spot, activation, dropout)
    return nn.Sequential(modules)


def _module(spot: Spot, activation: str, dropout: float) -> nn.Module:
    width = spot.takes[0]
    match spot.layer:
        case Conv(out, kernel, stride, padding, groups, bias):
            return nn.Conv2d(width, out, kernel, stride, padding, groups=groups, bias=bias)
        case Dense(out, bias):
            return nn.Linear(width, out, bias)
        case Norm("batch"):
            kind = nn.BatchNorm2d if len(spot.takes) == 3 else nn.BatchNorm1d
            return kind(width, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)
        case Norm(_, groups):
            return nn.GroupNorm(groups, width, eps=NORM_EPSILON)
        case Activation():
            return Function(activation)
        case Pool(kind="max") as pool:
            return nn.MaxPool2d(pool.size, pool.step, pool.padding)
        case Pool() as pool:
            return nn.AvgPool2d(pool.size, pool.step, pool.padding)
        case AdaptivePool(size):
            return nn.AdaptiveAvgPool2d(size)
        case Dropout(whole_channels):
            return (nn.Dropout2d if whole_channels else nn.Dropout)(dropout)
    return nn.Flatten()


def state_dict(
    source: Recipe | Plan, vector: np.ndarray, steps: int | None = None
) -> dict[str, Tensor]:
    """The weights of a net under the names that `sequential` gives them.

    Parameters
    ----------
    source : Recipe or Plan
        The recipe or the plan of the net.
    vector : ndarray of float32, shape (layout.size,)
        The flat vector of the net.
    steps : int, optional
        The number of training steps, which torch keeps for batch norm; left out if unknown.

    Returns
    -------
    dict of str to torch.Tensor

    Raises
    ------
    UsageError
        If the vector does not belong to a net of these layers.
    """
    plan = _plan(source)
    layout = plan.layout()
    if vector.shape != (layout.size,):
        raise UsageError(
            "vector",
            f"has shape {list(vector.shape)}, a net of these layers has {layout.size:,} values",
            "give the recipe or the plan of the same net",
        )
    values: dict[str, Tensor] = {}
    left = iter(layout.tensors)
    for spot in plan.spots:
        leaves = _NORM_LEAVES if isinstance(spot.layer, Norm) else {}
        for role in tensors(spot):
            spec = next(left)
            name = ".".join((*spot.blocks, spot.name, leaves.get(role, role)))
            piece = vector[spec.offset : spec.stop].reshape(spec.shape)
            values[name] = torch.from_numpy(np.array(piece, np.float32))
            if role == "running_var" and steps is not None:
                values[name.replace("running_var", "num_batches_tracked")] = torch.tensor(steps)
    return values
