"""The tensors of a module: which the zoo keeps, in which order, and which stay as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weightspace.errors import UsageError
from weightspace.networks.modules.shape import ModuleShape, Piece
from weightspace.networks.roles import Entry, arrange, layout_of


def stored(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers that a state dict has, a tied one only under its first name.

    The first name in alphabetical order, as a safetensors file has it.
    """
    names: dict[int, list[str]] = {}
    tensors: dict[int, Tensor] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if isinstance(tensor, Tensor):
            names.setdefault(id(tensor), []).append(name)
            tensors[id(tensor)] = tensor
    return {min(found): tensors[key] for key, found in names.items()}


def everything(module: nn.Module) -> dict[str, Tensor]:
    """The same, with the buffers that a state dict leaves out."""
    found = stored(module)
    there = {id(tensor) for tensor in found.values()}
    for name, tensor in module.named_buffers():
        if id(tensor) not in there:
            found[name] = tensor
    return found


def copies(module: nn.Module) -> dict[str, Tensor]:
    """Copies of all tensors, to compare them later."""
    return {name: tensor.detach().clone() for name, tensor in everything(module).items()}


def shape_of(own: str, module: nn.Module, moving: set[str]) -> ModuleShape:
    """The shape of a module's vector; `moving` are buffers that differ between nets or steps.

    The layout has the roles and the order of a checkpoint with these names and shapes.
    """
    tensors = everything(module)
    for name, tensor in tensors.items():
        if tensor.is_complex() or tensor.is_sparse or tensor.is_quantized:
            raise UsageError(own, f"{name} is a {tensor.dtype} tensor", "use real, dense numbers")
    entries = [
        Entry(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in stored(module).items()
    ]
    layout = layout_of(arrange(entries, ordered=False).placed)
    first = [spec.name for spec in layout.tensors]
    rest = [name for name in tensors if name not in set(first)]
    rest = [name for name in rest if isinstance(tensors[name], nn.Parameter) or name in moving]
    pieces = tuple(_piece(name, tensors[name]) for name in (*first, *rest))
    if not any(piece.trained for piece in pieces if piece.name in set(first)):
        raise UsageError(own, "has no kernel that is trained", "give it a layer with a weight")
    return ModuleShape(layout, pieces)


def _piece(name: str, tensor: Tensor) -> Piece:
    floating = tensor.is_floating_point()
    trained = isinstance(tensor, nn.Parameter) and tensor.requires_grad and floating
    return Piece(name, tuple(tensor.shape), trained, None if floating else tensor.dtype)


def vector_of(module: nn.Module, shape: ModuleShape) -> Tensor:
    """All values of a module: float64 [P]."""
    tensors = everything(module)
    values = [tensors[piece.name].detach().reshape(-1).double() for piece in shape.pieces]
    return torch.cat(values)
