"""Which implementation computes a stack: the native step where possible, torch otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from weightspace.networks.modules.plan import ModulePlan
from weightspace.networks.modules.shape import ModuleShape
from weightspace.networks.modules.stack import ModuleStack
from weightspace.networks.native import ACTIVATIONS, SUFFIX, NativeStack, builds, library
from weightspace.networks.native.plans import numbers
from weightspace.networks.planning import AnyPlan
from weightspace.networks.stack import StackShape, TorchStack

Arithmetic = TorchStack | NativeStack | ModuleStack
"""What computes a stack."""


def shape_of(plan: AnyPlan) -> StackShape | ModuleShape:
    """How the vectors of a plan are divided."""
    return plan.shape if isinstance(plan, ModulePlan) else StackShape.of(plan)


def arithmetic_of(
    plan: AnyPlan, activations: Sequence[str], dtype: torch.dtype, device: torch.device
) -> Arithmetic:
    """What computes a stack of this plan."""
    if isinstance(plan, ModulePlan):
        return ModuleStack(plan, dtype, device)
    return arithmetic(StackShape.of(plan), activations, dtype, device)


def arithmetic(
    shape: StackShape, activations: Sequence[str], dtype: torch.dtype, device: torch.device
) -> TorchStack | NativeStack:
    """The faster implementation that supports these layers and activations on this device."""
    known = device.type == "cpu" and dtype in SUFFIX and set(activations) <= set(ACTIVATIONS)
    found = library() if known and numbers(shape.plan) is not None else None
    if found is not None:
        return NativeStack(shape.plan, shape.layout, dtype, found)
    return TorchStack(shape, dtype)


def in_use(device: str) -> str:
    """What nets are trained with on this machine: "native v4" (or v3, v2), or "torch"."""
    if device != "cpu" or library() is None:
        return "torch"
    return f"native {builds()[-1].name.split('.')[0].lstrip('_')}"
