"""From a recipe to the layers of its net, and M nets of one plan computed together.

In: a `Recipe`. Out: a `Plan` (layers and shapes), its `Layout` (name, role, shape and offset of
every tensor in the flat vector) and, in `networks.stack`, the forward pass of M nets of one plan as
tensors with a leading net axis. Promises: the layout depends only on the plan; vectors follow
PyTorch's conventions, so a slice of a vector is a tensor of a state dict. Plan and layout need no
torch, and nothing here reads or writes files.
"""

from weightspace.networks.layout import Layout, TensorSpec
from weightspace.networks.plan import Plan

__all__ = ["Layout", "Plan", "TensorSpec"]
