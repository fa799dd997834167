"""The old name of `weightspace.learners.neural`."""

from weightspace._moved import moved

__getattr__ = moved("weightspace.neural", "weightspace.learners.neural")
