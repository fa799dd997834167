"""Engines train stacks: each gets the same work and fills the same zoo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from weightspace.errors import UsageError
from weightspace.sampling.engines.engine import Engine, Work
from weightspace.sampling.engines.local import Local
from weightspace.sampling.options import Options

__all__ = ["Engine", "Local", "Work", "opened"]


@contextmanager
def opened(options: Options) -> Iterator[Engine]:
    """The requested engine, `local` or `ray`, for the time of the run."""
    if options.engine == "local":
        if options.address or options.via != Options.via:
            raise UsageError("address, via", "are for another engine", 'add `engine="ray"`')
        yield Local(options.workers)
    elif options.engine == "ray":
        from weightspace.sampling.engines.ray import cluster  # Ray is an optional extra

        with cluster(options.address, options.workers, options.via) as engine:
            yield engine
    else:
        raise UsageError("engine", f"{options.engine!r} is none of local, ray")
