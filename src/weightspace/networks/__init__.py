"""From a recipe to the shape of its net, and M nets of one shape as one.

In: a `Recipe`. Out: a `Plan` (layers and shapes), its `Layout` (name, role, shape and offset of
every tensor in the flat vector) and, in `networks.stack`, the forward pass of M nets of one plan
as tensors with a leading net axis. Promises: the layout is a pure function of the plan; vectors
follow PyTorch's conventions, so a slice of a vector is a tensor of a state dict. Plan and layout
need no torch; nothing here knows the disk.
"""

from weightspace.networks.layout import Layout, TensorSpec
from weightspace.networks.plan import Plan

__all__ = ["Layout", "Plan", "TensorSpec"]
