"""Plain values in a JSON file and arrays in another file, replaced together.

The JSON file names the file of its arrays. Arrays are written under a new name, then the new JSON
file replaces the old one in one step. So the folder always contains a complete old or a complete
new version, even if writing is stopped.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from weightspace.arrays import Shaped
from weightspace.disk import (
    InnerPath,
    alone_in,
    exists,
    names,
    open_file,
    read_bytes,
    read_text,
    remove,
    remove_leftovers,
    replace_all,
)
from weightspace.errors import DataError, UsageError

MOST_JSON = 2**22
"""The most bytes of the JSON file; its values take up to 20 times as much memory."""
MOST_ARRAYS = 2**32
DAMAGE = (
    *(OSError, SafetensorError, ValueError, RecursionError),
    *(KeyError, TypeError, AttributeError),  # raised by safetensors for types that NumPy lacks
)
"""The errors of reading a damaged file of arrays."""
_MOST_HEADER = 2**20
_CHECKSUM = "weightspace.checksum"
"""The keys of the metadata in a file of arrays; other files do not have them."""


@dataclass(frozen=True)
class Committed:
    """A kind of object that is stored as `stem`.json and `arrays`.safetensors; `thing` is its name.

    `known` tells whether plain values describe such an object. Reading raises OSError as the system
    does, and DataError for something that is not a regular file or is too large.
    """

    thing: str
    stem: str
    arrays: str
    known: Callable[[dict[str, Any]], bool]

    def json(self, folder: InnerPath) -> InnerPath:
        """The path of the JSON file."""
        return folder / f"{self.stem}.json"

    def read(self, folder: InnerPath) -> Any:
        """The plain values, not checked; ValueError or RecursionError if the file is not JSON."""
        return json.loads(read_text(self.json(folder), MOST_JSON))

    def place(self, folder: InnerPath, plain: dict[str, Any]) -> InnerPath:
        """The path of the arrays; DataError if the JSON gives a name that `write` never uses."""
        name = plain.get("arrays", f"{self.arrays}.safetensors")
        if not (isinstance(name, str) and self._is_name(name)):
            raise DataError(
                self.json(folder),
                "does not name a file of arrays that weightspace writes",
                f"restore it from a copy, or make the {self.thing} again",
            )
        return folder / name

    def read_arrays(
        self, folder: InnerPath, plain: dict[str, Any]
    ) -> dict[str, Shaped[np.ndarray, " ..."]]:
        """The arrays that belong to these values, read-only; raises the errors in `DAMAGE`.

        Arrays without a checksum, such as those of release 0.1.0, are accepted.
        """
        place = self.place(folder, plain)
        data = read_bytes(place, MOST_ARRAYS)
        stated = _metadata(BytesIO(data)).get(_CHECKSUM)
        arrays = load(data)
        if stated is not None and not stated == plain.get("checksum") == _checksum(arrays):
            raise DataError(
                place,
                f"holds other arrays than {self.stem}.json belongs to",
                f"restore both from one copy, or make the {self.thing} again",
            )
        return arrays

    def refuse_foreign(self, folder: InnerPath) -> dict[str, Any] | None:
        """The plain values in the folder; None if there are none, UsageError if of another kind."""
        try:
            plain = self.read(folder)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):
            plain = None
        if not isinstance(plain, dict) or not self.known(plain):
            raise UsageError(
                self.json(folder),
                f"is not a {self.thing} of weightspace, so it is not overwritten",
                "remove it, or choose another folder",
            )
        return plain

    def write(
        self,
        folder: InnerPath,
        plain: Mapping[str, Any],
        arrays: Mapping[str, Shaped[np.ndarray, " ..."]],
    ) -> None:
        """Replace the object in the folder; UsageError if the folder has another kind of object."""
        own = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        checksum = _checksum(own)
        data = save(own, {_CHECKSUM: checksum})
        with alone_in(folder):
            old = self.refuse_foreign(folder)
            self._tidy(folder, old)
            file = self._free(folder, old, checksum)
            told = dict(plain) | {"checksum": checksum}
            if file.name != f"{self.arrays}.safetensors":
                told["arrays"] = file.name
            text = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
            for what, size, most in (
                (file, len(data), MOST_ARRAYS),
                (self.json(folder), len(text.encode()), MOST_JSON),
            ):
                if size > most:
                    raise DataError(
                        what,
                        f"would have {size:,} bytes, at most {most:,} can be read again",
                        f"make a smaller {self.thing}",
                    )
            replace_all([(file, data), (self.json(folder), text.encode())])
            self._tidy(folder, told, before=old)

    def _free(self, folder: InnerPath, old: dict[str, Any] | None, checksum: str) -> InnerPath:
        """A file name that the current values do not use, except for the same arrays."""
        plain = folder / f"{self.arrays}.safetensors"
        used = None if old is None else self._named(folder, old)
        if plain != used and (not exists(plain) or _is_ours(plain)):
            return plain
        return folder / f"{self.arrays}.{checksum[:16]}.safetensors"

    def _tidy(
        self,
        folder: InnerPath,
        present: dict[str, Any] | None,
        before: dict[str, Any] | None = None,
    ) -> None:
        """Remove files left by killed writers, and arrays of ours that no JSON file names."""
        used = None if present is None else self._named(folder, present)
        if present is not None and used is None:
            return  # written by another release, which may use files that we do not know
        old = None if before is None else self._named(folder, before)
        for name in names(folder):
            place = folder / name
            if self._is_name(name) and place != used and (place == old or _is_ours(place)):
                with suppress(OSError):
                    remove(place)
        for stem in (self.stem, self.arrays):
            remove_leftovers(folder, stem)

    def _named(self, folder: InnerPath, plain: dict[str, Any]) -> InnerPath | None:
        with suppress(DataError):
            return self.place(folder, plain)
        return None

    def _is_name(self, name: str) -> bool:
        pattern = rf"{re.escape(self.arrays)}(\.[0-9a-f]{{16}})?\.safetensors"
        return bool(re.fullmatch(pattern, name))


def _is_ours(place: InnerPath) -> bool:
    """Whether these are arrays that `write` wrote."""
    try:
        with open_file(place, MOST_ARRAYS) as file:
            return _CHECKSUM in _metadata(file)
    except (OSError, DataError, ValueError, RecursionError):
        return False


def _metadata(file: BinaryIO) -> dict[str, Any]:
    """The metadata in the header of a safetensors file."""
    length = int.from_bytes(file.read(8), "little")
    if length > _MOST_HEADER:
        raise ValueError(f"its header takes {length:,} bytes, at most {_MOST_HEADER:,} are read")
    header = json.loads(file.read(length))
    found = header.get("__metadata__") if isinstance(header, dict) else None
    return found if isinstance(found, dict) else {}


def _checksum(arrays: Mapping[str, Shaped[np.ndarray, " ..."]]) -> str:
    told = hashlib.blake2b(digest_size=16)
    for name, array in sorted(arrays.items()):
        told.update(f"{name}\0{array.dtype.name}\0{array.shape}\0".encode())
        told.update(array.reshape(-1).view(np.uint8).data)
    return told.hexdigest()
