"""`Uploads`: files of visitors, each in a folder whose name nobody can guess, until its audit."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from weightspace import disk
from weightspace.app.examples import file_of
from weightspace.app.jobs import EXAMPLE, HUB, example_name, hub_name
from weightspace.app.limits import Limits
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError
from weightspace.printable import printable

_UPLOADS, _JOBS = "uploads", "jobs"
_GONE = "is no longer here: files are removed after their audit, or after a while"
_MOST_OF_A_CARD = 2**21


class Uploads:
    """The files of all visitors, in one private folder.

    Parameters
    ----------
    root : InnerPath
        The private folder.
    limits : Limits
        How much is kept, and how long.
    """

    def __init__(self, root: InnerPath, limits: Limits) -> None:
        self.root = root
        self.limits = limits
        self._made: dict[str, float] = {}
        for name in (_UPLOADS, _JOBS):
            disk.make_folder(root / name)

    def room(self) -> InnerPath:
        """Make a folder for one upload.

        Returns
        -------
        InnerPath

        Raises
        ------
        UsageError
            If too many bytes of others wait.
        """
        self.remove_old()
        files = disk.walk(self.root / _UPLOADS)
        if sum(disk.size(file) for file in files) + self.limits.upload > self.limits.stored:
            raise UsageError("upload", "too many files wait for their audits", "try again soon")
        token = secrets.token_hex(16)
        self._made[token] = time.monotonic()
        place = self.root / _UPLOADS / token
        disk.make_folder(place)
        return place

    def forget(self, path: str | None) -> None:
        """Remove an upload, if it is there."""
        if path and (found := self._found(path)) is not None:
            disk.remove_tree(self._folder_of(found))

    def remove_old(self) -> None:
        """Remove what nobody has audited for too long."""
        for token, made in list(self._made.items()):
            place = self.root / _UPLOADS / token
            if time.monotonic() - made > self.limits.kept or not disk.exists(place):
                disk.remove_tree(place)
                self._made.pop(token, None)

    def text_of(self, path: str) -> str:
        """The text of an uploaded card, which is removed.

        Raises
        ------
        UsageError
            If it is too large, or no text.
        """
        place = self._taken(path)
        try:
            return disk.read_bytes(place, _MOST_OF_A_CARD).decode()
        except UnicodeDecodeError:
            raise UsageError(
                printable(place.name, 80), "is no text in UTF-8", "drop a README.md, YAML or JSON"
            ) from None
        except DataError as error:
            raise error.but(thing=printable(place.name, 80)) from None
        finally:
            disk.remove_tree(self._folder_of(place))

    def job_folder(self) -> InnerPath:
        """Make an empty folder for a job; `disk.remove_tree` removes it."""
        place = self.root / _JOBS / secrets.token_hex(16)
        disk.make_folder(place)
        return place

    def check(self, path: str | None, name: str) -> None:
        """Check that a visitor chose a file, without touching it.

        Parameters
        ----------
        path : str or None
            Where an upload lies.
        name : str
            The name that was typed, if nothing was uploaded.

        Raises
        ------
        UsageError
            If nothing was chosen, the name is none, or the upload is gone.
        """
        if path:
            self._taken(path)
        elif name.strip().startswith(EXAMPLE):
            file_of(example_name(name))
        elif name.strip():
            hub_name(name)
        else:
            raise UsageError("file", "none is given", f"drop one, or write {HUB}OWNER/NAME")

    def put(self, folder: InnerPath, path: str | None, name: str, below: Sequence[str]) -> str:
        """Put the file that a visitor chose into the folder of a job.

        Parameters
        ----------
        folder : InnerPath
            The folder of the job.
        path, name : str
            As for `check`. An upload is moved: nothing stays where it was.
        below : sequence of str
            Folders to make in that of the job, so that names of two files cannot be the same.

        Returns
        -------
        str
            The name of the file in the folder of the job; a name on the hub as it is.

        Raises
        ------
        UsageError
            As for `check`.
        """
        self.check(path, name)
        for part in below:
            folder = folder / part
            disk.make_folder(folder)
        if path:
            source = self._taken(path)
            disk.rename(source, folder / source.name)
            disk.remove_tree(self._folder_of(source))
            return "/".join((*below, source.name))
        if found := example_name(name):
            file, data = file_of(found)
            disk.write_file(folder / file, data)
            return "/".join((*below, file))
        return hub_name(name)

    def _taken(self, path: str) -> InnerPath:
        found = self._found(path)
        if found is None:
            raise UsageError(printable(Path(path).name, 80), _GONE, "drop it again")
        return found

    def _found(self, path: str) -> InnerPath | None:
        """The upload of a path that a browser sent; None if there is none."""
        try:
            parts = Path(path).relative_to((self.root / _UPLOADS).path).parts
            place = InnerPath(self.root.root, (*self.root.parts, _UPLOADS, *parts))
        except (ValueError, DataError):
            return None
        inside = len(parts) > 1 and parts[0] in self._made
        return place if inside and disk.is_file(place) and not disk.is_link(place) else None

    def _folder_of(self, place: InnerPath) -> InnerPath:
        depth = len(self.root.parts) + 2  # the folder of uploads, and that of this one
        return InnerPath(place.root, place.parts[:depth])
