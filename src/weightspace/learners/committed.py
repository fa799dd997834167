"""Plain values and arrays that belong together: a JSON file, which names its arrays.

The JSON is the commit: arrays are written under a name that the JSON in the folder does not use,
then the new JSON takes the old one's place in one step. Whenever writing stops, the folder holds
the old or the new, whole.
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
"""Bytes; plain values take up to some 20 times as much memory."""
MOST_ARRAYS = 2**32
DAMAGE = (
    *(OSError, SafetensorError, ValueError, RecursionError),
    *(KeyError, TypeError, AttributeError),  # of safetensors, for types that numpy lacks
)
"""What reading arrays raises of a damaged file."""
_MOST_HEADER = 2**20
_CHECKSUM = "weightspace.checksum"
"""Of what the arrays carry in their own file, which tells them from files of others, too."""


@dataclass(frozen=True)
class Committed:
    """A kind of thing that is kept so: `thing` names it, and `stem`.json, `arrays`.safetensors.

    `known` says of plain values whether they are of that kind. Reading raises OSError as the
    system does and DataError for what is no regular file of a size that is read.
    """

    thing: str
    stem: str
    arrays: str
    known: Callable[[dict[str, Any]], bool]

    def json(self, folder: InnerPath) -> InnerPath:
        """Where the plain values are."""
        return folder / f"{self.stem}.json"

    def read(self, folder: InnerPath) -> Any:
        """The plain values, unchecked; ValueError or RecursionError where they are no JSON."""
        return json.loads(read_text(self.json(folder), MOST_JSON))

    def place(self, folder: InnerPath, plain: dict[str, Any]) -> InnerPath:
        """Where the arrays are; DataError where they have a name that none are given."""
        name = plain.get("arrays", f"{self.arrays}.safetensors")
        if not (isinstance(name, str) and self._is_name(name)):
            raise DataError(
                f"{self.json(folder)}: names no file of arrays that weightspace writes; restore "
                f"it from a copy, or make the {self.thing} again"
            )
        return folder / name

    def read_arrays(self, folder: InnerPath, plain: dict[str, Any]) -> dict[str, np.ndarray]:
        """The arrays that were written with these values, read-only; raises `DAMAGE`.

        Arrays that carry no checksum, as those of release 0.1.0, are taken as they are.
        """
        place = self.place(folder, plain)
        data = read_bytes(place, MOST_ARRAYS)
        stated = _metadata(BytesIO(data)).get(_CHECKSUM)
        arrays = load(data)
        if stated is not None and not stated == plain.get("checksum") == _checksum(arrays):
            raise DataError(
                f"{place}: holds other arrays than {self.stem}.json was written with; restore both "
                f"from one copy, or make the {self.thing} again"
            )
        return arrays

    def refuse_foreign(self, folder: InnerPath) -> dict[str, Any] | None:
        """The plain values there, None where there are none; UsageError where they are not ours."""
        try:
            plain = self.read(folder)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):
            plain = None
        if not isinstance(plain, dict) or not self.known(plain):
            raise UsageError(
                f"{self.json(folder)}: describes no {self.thing} of weightspace, and is not "
                "overwritten; remove it, or choose another folder"
            )
        return plain

    def write(
        self, folder: InnerPath, plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> None:
        """Put these in place of what is there; UsageError where that is not ours."""
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
                        f"{what}: would have {size:,} bytes, {most:,} are the most that are read "
                        f"again; make a smaller {self.thing}"
                    )
            replace_all([(file, data), (self.json(folder), text.encode())])
            self._tidy(folder, told, before=old)

    def _free(self, folder: InnerPath, old: dict[str, Any] | None, checksum: str) -> InnerPath:
        """A name that the values there do not use, unless for arrays of the same content."""
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
        """Remove what killed writers left, and arrays of ours that nothing names (any more)."""
        used = None if present is None else self._named(folder, present)
        if present is not None and used is None:
            return  # of another release: who knows what it names
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
    """What the header of a safetensors file says besides its arrays."""
    length = int.from_bytes(file.read(8), "little")
    if length > _MOST_HEADER:
        raise ValueError(f"its header takes {length:,} bytes, {_MOST_HEADER:,} are the most")
    header = json.loads(file.read(length))
    found = header.get("__metadata__") if isinstance(header, dict) else None
    return found if isinstance(found, dict) else {}


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    told = hashlib.blake2b(digest_size=16)
    for name, array in sorted(arrays.items()):
        told.update(f"{name}\0{array.dtype.name}\0{array.shape}\0".encode())
        told.update(array.reshape(-1).view(np.uint8).data)
    return told.hexdigest()
