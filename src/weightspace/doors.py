"""The old name of `weightspace.interop`."""

from weightspace._moved import moved

__getattr__ = moved("weightspace.doors", "weightspace.interop")
