"""Where units are trained: each engine is given the same work and fills the same zoo."""

from weightspace.sampling.engines.engine import Engine, Work
from weightspace.sampling.engines.local import Local

__all__ = ["Engine", "Local", "Work"]
