"""From names and shapes of tensors to layers in an order: roles, norms, what is no kernel."""

from weightspace.checkpoints.roles.arranging import arrange
from weightspace.checkpoints.roles.entries import Arrangement, Entry, Note, Placed, Widths

__all__ = ["Arrangement", "Entry", "Note", "Placed", "Widths", "arrange"]
