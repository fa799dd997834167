"""Finished stacks (in code: units) at a URL, each as a tar file with a zoo of that stack."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from weightspace.disk import InnerPath, Temporary, inner_of, open_file
from weightspace.errors import DataError, UsageError, WeightspaceError
from weightspace.networks import Layout
from weightspace.networks.planning import plan_of
from weightspace.sampling.engines import tarring
from weightspace.sampling.plan import Unit
from weightspace.zoo import Writer, Zoo
from weightspace.zoo.files import places, shard
from weightspace.zoo.format import manifest
from weightspace.zoo.writing.parcel import Parcel, accept, pack, vectors

SUFFIX = ".tar"
_CHUNK = 2**24
_SMALL = 2**24
"""Bytes that the tables of a stack and `zoo.json` may have in addition to their rows."""
_ROW = 2**13
"""The most bytes of a row of a table: about seventy short values, almost uncompressed."""
_BROKEN = (tarfile.TarError, ValueError, LookupError, ArithmeticError, RecursionError)
"""The exceptions of reading an invalid tar file, or an invalid zoo in it."""


@dataclass(frozen=True)
class Depot:
    """A folder for the stacks of one run, at an fsspec URL (s3://, gs://, file:// and so on).

    Nodes write stacks there. This run, or a later one that continues it, copies them into the zoo.
    Nothing is deleted.
    """

    url: str

    @classmethod
    def of(cls, url: str, facts: Mapping[str, Any]) -> Depot:
        """The folder below `url` that is named after a hash of the run's facts, and stores them."""
        text = json.dumps(facts, sort_keys=True, indent=1).encode()
        name = hashlib.blake2b(text, digest_size=8).hexdigest()
        depot = cls(f"{url.rstrip('/')}/{name}")
        with _explained(depot.url), io.BytesIO(text) as whole:
            _put(f"{depot.url}/run.json", whole)
        return depot

    def units(self) -> set[str]:
        """The names of the stacks that are there."""
        with _explained(self.url):
            system, path = fsspec.core.url_to_fs(self.url)
            system.invalidate_cache()
            found = system.ls(path, detail=False)
        names = (entry.rstrip("/").rpartition("/")[2] for entry in found)
        return {name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)}

    def leave(self, zoo: Path, unit: str) -> None:
        """Write the zoo of one stack there. If this fails, `take` does not accept the rest."""
        with tempfile.TemporaryFile() as whole:
            tarring.write(InnerPath(zoo), whole)
            target = f"{self.url}/{unit}{SUFFIX}"
            with _explained(target):
                _put(target, whole)

    def take(self, unit: Unit, writer: Writer, snapshots: int) -> None:
        """Commit a stack that is there to the zoo. Raises `DataError` if it is not a valid one.

        No more is read or written than the stack can have: up to `snapshots` of each net.
        """
        source = f"{self.url}/{unit.name}{SUFFIX}"
        layout = plan_of(unit.recipes[0]).layout()
        with tempfile.TemporaryDirectory(prefix="weightspace-") as folder:
            with _explained(source), _opened(source) as remote:
                try:
                    tarring.unpack(
                        remote, InnerPath(Path(folder)), _contents(unit, writer, layout, snapshots)
                    )
                except _BROKEN as error:
                    raise _damaged(source, _first(error)) from None
            try:
                zoo = Zoo(folder)
                parcel = pack(zoo, unit.name)
            except (WeightspaceError, *_BROKEN):
                raise _damaged(source, "it is no zoo of that unit") from None
            _refuse_other(source, parcel, unit, layout)
            try:
                accept(writer, parcel, vectors(zoo, parcel))
            except UsageError as error:  # about rows that no writer of this package makes
                raise _damaged(source, _first(error)) from None


def _contents(unit: Unit, writer: Writer, layout: Layout, snapshots: int) -> dict[str, int]:
    """The files of a zoo of one stack, and how many bytes each may have."""
    nets = [recipe.net for recipe in unit.recipes]
    dtype = manifest.dtype(writer.meta)
    _, header = shard.compose(nets, snapshots, layout.size, layout.key, dtype)
    most = {
        (places.LAYOUTS, layout.key): len(layout.to_json().encode()),
        (places.SHARDS, unit.name): header.size,
        (places.SNAPSHOTS, unit.name): _SMALL + _ROW * len(nets) * snapshots,
        (places.NETS, unit.name): _SMALL + _ROW * len(nets),
    }
    files = {f"{folder}/{name}{places.SUFFIX[folder]}": n for (folder, name), n in most.items()}
    return {places.MANIFEST: _SMALL, **files}


def _refuse_other(source: str, parcel: Parcel, unit: Unit, layout: Layout) -> None:
    if sorted(row["net"] for row in parcel.nets) != sorted(recipe.net for recipe in unit.recipes):
        raise _damaged(source, "it holds other nets")
    if parcel.layout != layout:
        raise _damaged(source, "its nets have another layout")


def _put(url: str, whole: IO[bytes]) -> None:
    """Write a file to a URL; in a local folder it is written completely or not at all."""
    size = whole.seek(0, 2)
    whole.seek(0)
    system, path = fsspec.core.url_to_fs(url)
    if not isinstance(system, LocalFileSystem):
        with fsspec.open(url, "wb") as remote:
            shutil.copyfileobj(whole, remote, _CHUNK)
        return
    system.makedirs(system._parent(path), exist_ok=True)
    file = Temporary(inner_of(path), size)
    try:
        for offset in range(0, size, _CHUNK):
            file.write(whole.read(_CHUNK), offset)
        file.sync()
        file.publish()
    finally:
        file.discard()


def _opened(url: str) -> IO[bytes]:
    """Open a URL for reading; in a local folder only regular files are opened."""
    system, path = fsspec.core.url_to_fs(url)
    if isinstance(system, LocalFileSystem):
        return open_file(inner_of(path))
    remote: IO[bytes] = system.open(path, "rb")
    return remote


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn the various exceptions of file systems into errors of one line."""
    try:
        yield
    except (WeightspaceError, KeyboardInterrupt):
        raise
    except (ImportError, ValueError) as error:  # a protocol that is unknown or not installed
        raise UsageError("via", f"{url} cannot be used ({_first(error)})") from None
    except Exception as error:
        raise DataError(
            url,
            f"cannot be read or written ({type(error).__name__}: {_first(error)})",
            "check the URL and that every node has the rights",
        ) from None


def _damaged(url: str, why: str) -> DataError:
    return DataError(url, f"is damaged, {why}", "delete it")


def _first(error: Any) -> str:
    return (str(error).splitlines() or ["no reason given"])[0]
