"""From names and shapes of tensors to layers in an order: roles, norms, what is no kernel."""

from weightspace.networks.roles.arranging import arrange
from weightspace.networks.roles.entries import Arrangement, Entry, Note, Placed, Widths
from weightspace.networks.roles.layouts import layout_of

__all__ = ["Arrangement", "Entry", "Note", "Placed", "Widths", "arrange", "layout_of"]
