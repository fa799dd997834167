"""Populations around a checkpoint: nets of its architecture, trained on its data in many ways.

In: a checkpoint, its training data, what is claimed of it. Out: the space of trainings that could
have given it, a zoo of that space, and what the zoo's nets tell of the checkpoint. This is the only
part of `audit` that trains nets; it loads torch.
"""

from weightspace.audit.around.audit import audit_around, space_for

__all__ = ["audit_around", "space_for"]
