"""Files beside a checkpoint that belong to it: shards, and values that are kept outside."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.remote import Place, RemotePath, opened
from weightspace.checkpoints.tensors import size_of
from weightspace.disk import InnerPath, stays_inside
from weightspace.printable import printable

_MOST = 4096  # files; the largest nets have some hundred shards


@dataclass
class Neighbours:
    """Opens regular files in the folder of a checkpoint, or below it, each once.

    A name, or a link, that leads out of the folder is refused.
    """

    place: Place
    closing: ExitStack
    _opened: dict[str, tuple[BinaryIO, int]] = field(default_factory=dict)

    def beside(self, name: str) -> tuple[BinaryIO, int]:
        """The open file, and its bytes."""
        if name not in self._opened:
            if len(self._opened) >= _MOST:
                raise Refusal(f"refused; it names more than {_MOST:,} files", "fetch it again")
            file = self.closing.enter_context(self._file(name))
            size = size_of(file)
            file.seek(0)
            self._opened[name] = (file, size)
        return self._opened[name]

    def where(self, name: str) -> InnerPath | RemotePath:
        """The place of a file; Refusal if its name leads out of the folder."""
        inner = stays_inside(name)
        if inner is None:
            raise Refusal(
                f"refused; it names the file {printable(name, 120)}, which is not beside it",
                "fetch it again from its source",
            )
        folder = self.place.parent
        place = InnerPath(folder.absolute()) if isinstance(folder, Path) else folder
        for part in inner.parts:
            place = place / part
        return place

    def _file(self, name: str) -> BinaryIO:
        try:
            return opened(self.where(name))
        except FileNotFoundError:
            raise Refusal(
                f"{printable(name, 120)}, which is a part of it, is missing",
                "put that file beside it, or fetch all files again",
            ) from None

    @property
    def size(self) -> int:
        """The bytes of all opened files."""
        return sum(size for _, size in self._opened.values())
