"""Finished units left at a URL, each as one tar file that is a zoo of that unit."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import fsspec

from weightspace.errors import DataError, UsageError, WeightspaceError
from weightspace.sampling.plan import Unit
from weightspace.zoo import Writer, Zoo
from weightspace.zoo.parcel import accept, pack, vectors

_MEMBER = re.compile(r"zoo\.json|(layouts|shards|snapshots|nets)/[a-z0-9-]+\.[a-z]+")
SUFFIX = ".tar"


@dataclass(frozen=True)
class Depot:
    """A folder for the units of one run, at an fsspec URL (s3://, gs://, file:// and so on).

    Nodes leave units there, whoever continues the run takes them into the zoo; nothing is deleted.
    """

    url: str

    @classmethod
    def of(cls, url: str, facts: Mapping[str, Any]) -> Depot:
        """The folder below `url` that is named after the run's facts, which are noted in it."""
        text = json.dumps(facts, sort_keys=True, indent=1).encode()
        name = hashlib.blake2b(text, digest_size=8).hexdigest()
        depot = cls(f"{url.rstrip('/')}/{name}")
        with _explained(depot.url), fsspec.open(f"{depot.url}/run.json", "wb") as file:
            file.write(text)
        return depot

    def units(self) -> set[str]:
        """The names of the units that lie there."""
        with _explained(self.url):
            system, path = fsspec.core.url_to_fs(self.url)
            system.invalidate_cache()
            found = system.ls(path, detail=False)
        names = (entry.rstrip("/").rpartition("/")[2] for entry in found)
        return {name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)}

    def leave(self, zoo: Path, unit: str) -> None:
        """Put the zoo of one unit there; a failure on the way leaves nothing that is taken."""
        with tempfile.TemporaryFile() as whole:
            with tarfile.open(fileobj=whole, mode="w") as tar:
                for file in sorted(file for file in zoo.rglob("*") if file.is_file()):
                    tar.add(file, arcname=file.relative_to(zoo).as_posix())
            whole.seek(0)
            target = f"{self.url}/{unit}{SUFFIX}"
            with _explained(target), fsspec.open(target, "wb") as remote:
                shutil.copyfileobj(whole, remote, 2**24)

    def take(self, unit: Unit, writer: Writer) -> None:
        """Commit a unit that lies there to the zoo; `DataError` where it is not what it should."""
        source = f"{self.url}/{unit.name}{SUFFIX}"
        with tempfile.TemporaryDirectory(prefix="weightspace-") as folder:
            with _explained(source), fsspec.open(source, "rb") as remote:
                _unpack(remote, Path(folder))
            try:
                zoo = Zoo(folder)
                parcel = pack(zoo, unit.name)
            except WeightspaceError:
                raise _damaged(source, "it is no zoo of that unit") from None
            if {row["net"] for row in parcel.nets} != {recipe.net for recipe in unit.recipes}:
                raise _damaged(source, "it holds other nets")
            accept(writer, parcel, vectors(zoo, parcel))


def _unpack(remote: IO[bytes], folder: Path) -> None:
    """Write what a zoo consists of into `folder`, and nothing else."""
    with tarfile.open(fileobj=remote, mode="r|") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content and _MEMBER.fullmatch(member.name):
                target = folder / member.name
                target.parent.mkdir(exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file, 2**24)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """One line instead of the many exceptions of the many file systems."""
    try:
        yield
    except (WeightspaceError, KeyboardInterrupt):
        raise
    except tarfile.TarError as error:
        raise _damaged(url, str(error)) from None
    except (ImportError, ValueError) as error:  # a protocol that is unknown or not installed
        raise UsageError(f"via: {url} cannot be used ({_first(error)})") from None
    except Exception as error:
        raise DataError(
            f"{url}: cannot be read or written ({type(error).__name__}: {_first(error)}); "
            "check the URL and that every node has the rights"
        ) from None


def _damaged(url: str, why: str) -> DataError:
    return DataError(f"{url}: is damaged, {why}; delete it")


def _first(error: Any) -> str:
    return (str(error).splitlines() or ["no reason given"])[0]
