"""A net of a zoo as a torch module, with the same layers in the same order, for other tools."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor, nn

from weightspace.errors import UsageError
from weightspace.networks.activations import ACTIVATIONS
from weightspace.networks.layout import TensorSpec
from weightspace.networks.plan import Plan
from weightspace.networks.stack import NORM_EPSILON, NORM_MOMENTUM
from weightspace.space import Recipe

_NORM_LEAVES = {
    "shift": "bias",
    "scale": "weight",
    "running_mean": "running_mean",
    "running_var": "running_var",
}


class Activation(nn.Module):
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


def sequential(recipe: Recipe) -> nn.Sequential:
    """Make the torch module of a recipe, with torch's own initial weights.

    A convolution is kernel and bias, norm, activation, pooling. A hidden dense layer is weight and
    bias, activation, norm, dropout. The output layer comes last. `state_dict` gives the weights of
    a net of the same recipe; they load with `strict=True`. Call `eval()` before predicting.

    Parameters
    ----------
    recipe : Recipe
        The recipe.

    Returns
    -------
    torch.nn.Sequential
        A module from images [B, C, H, W] with values in 0..1 to logits [B, outputs].

    Raises
    ------
    UsageError
        If the recipe has an unknown activation or architecture.

    Examples
    --------
    >>> net = sequential(Recipe(dataset="mnist", depth_conv=1, blocks=1, depth_fc=1))
    >>> [name for name, _ in net.named_children()]  # doctest: +NORMALIZE_WHITESPACE
    ['conv1', 'conv1_norm', 'conv1_activation', 'conv1_pool', 'flatten',
     'fc1', 'fc1_activation', 'fc1_norm', 'fc1_dropout', 'output']
    """
    plan = Plan.from_recipe(recipe)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    width = plan.channels
    for number, conv in enumerate(plan.conv, 1):
        name = f"conv{number}"
        layers[name] = nn.Conv2d(width, conv.width, conv.kernel, padding=conv.padding)
        if plan.batch_norm:
            norm = nn.BatchNorm2d(conv.width, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)
            layers[f"{name}_norm"] = norm
        layers[f"{name}_activation"] = Activation(recipe.activation)
        if conv.pool:
            layers[f"{name}_pool"] = nn.MaxPool2d(2)
        width = conv.width
    layers["flatten"] = nn.Flatten()
    width = plan.flat_features
    for number, out in enumerate(plan.fc, 1):
        name = f"fc{number}"
        layers[name] = nn.Linear(width, out)
        layers[f"{name}_activation"] = Activation(recipe.activation)
        if plan.batch_norm:
            layers[f"{name}_norm"] = nn.BatchNorm1d(out, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)
        layers[f"{name}_dropout"] = nn.Dropout(recipe.dropout)
        width = out
    layers["output"] = nn.Linear(width, plan.outputs)
    return nn.Sequential(layers)


def state_dict(recipe: Recipe, vector: np.ndarray, steps: int | None = None) -> dict[str, Tensor]:
    """The weights of a net under the names that `sequential` gives them.

    Parameters
    ----------
    recipe : Recipe
        The recipe of the net.
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
        If the vector does not belong to a net of this recipe.
    """
    layout = Plan.from_recipe(recipe).layout()
    if vector.shape != (layout.size,):
        raise UsageError(
            "vector",
            f"has shape {list(vector.shape)}, a net of this recipe has {layout.size:,} values",
            "give the recipe of the same net",
        )
    values: dict[str, Tensor] = {}
    for spec in layout.tensors:
        name = _name(spec)
        piece = vector[spec.offset : spec.stop].reshape(spec.shape)
        values[name] = torch.from_numpy(np.array(piece, np.float32))
        if spec.role == "running_var" and steps is not None:
            values[name.replace("running_var", "num_batches_tracked")] = torch.tensor(steps)
    return values


def _name(spec: TensorSpec) -> str:
    layer = spec.name.rpartition(".")[0]
    if spec.role in _NORM_LEAVES:
        return f"{layer}_norm.{_NORM_LEAVES[spec.role]}"
    return f"{layer}.{spec.role}"
