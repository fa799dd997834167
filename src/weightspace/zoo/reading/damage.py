"""The errors for a zoo whose files contradict one another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

from weightspace.errors import DataError


@contextmanager
def naming(net: str) -> Iterator[None]:
    """Add to an error about a shard the name of a net in it."""
    try:
        yield
    except DataError as error:
        raise error.but(cause=f"{error.cause}, net {net} is in it") from None


def two_units(path: str, nets: pl.DataFrame) -> DataError:
    """The error for a net that is in two stacks."""
    twice = nets.filter(pl.col("net").is_duplicated())
    units = " and ".join(twice.filter(pl.col("net") == twice["net"][0])["unit"].to_list())
    return inconsistent(path, f"net {twice['net'][0]} is in two stacks, {units}")


def inconsistent(path: str, what: str) -> DataError:
    """The error for a zoo whose files contradict one another."""
    return DataError(path, f"is damaged, {what}", "run `weightspace check`")
