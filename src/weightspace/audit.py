"""The old name of `weightspace.checkpoints`."""

from weightspace._moved import moved

__getattr__ = moved("weightspace.audit", "weightspace.checkpoints")
