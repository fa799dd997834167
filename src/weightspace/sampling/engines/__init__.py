"""Where units are trained: each engine is given the same work and fills the same zoo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from weightspace.errors import UsageError
from weightspace.sampling.engines.engine import Engine, Work
from weightspace.sampling.engines.local import Local

__all__ = ["Engine", "Local", "Work", "opened"]


@contextmanager
def opened(
    name: str, *, workers: int | None = None, address: str | None = None, via: str = "auto"
) -> Iterator[Engine]:
    """The engine of this name, `local` or `ray`; the arguments are those of `sample`."""
    if name == "local":
        if address or via != "auto":
            raise UsageError("address, via: are for another engine; add --engine ray")
        yield Local(workers)
    elif name == "ray":
        from weightspace.sampling.engines.ray import cluster  # Ray is an optional extra

        with cluster(address, workers, via) as engine:
            yield engine
    else:
        raise UsageError(f"engine: {name!r} is none of local, ray")
