"""The errors for a zoo whose files contradict one another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from weightspace.errors import DataError


@contextmanager
def naming(net: str) -> Iterator[None]:
    """Add to an error about a shard the name of a net in it."""
    try:
        yield
    except DataError as error:
        raise error.but(cause=f"{error.cause}, net {net} is in it") from None


def two_units(path: str, nets: pa.Table) -> DataError:
    """The error for a net that is in two stacks."""
    units: dict[str, list[str]] = defaultdict(list)
    for net, unit in zip(nets["net"].to_pylist(), nets["unit"].to_pylist(), strict=True):
        units[net].append(unit)
    net = next(net for net, own in units.items() if len(own) > 1)
    return inconsistent(path, f"net {net} is in two stacks, {' and '.join(units[net])}")


def inconsistent(path: str, what: str) -> DataError:
    """The error for a zoo whose files contradict one another."""
    return DataError(path, f"is damaged, {what}", "run `weightspace check`")
