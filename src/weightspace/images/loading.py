"""`load` an image set by name, and the `catalogue` of all sets that can be loaded."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from weightspace.errors import DataError
from weightspace.images import hub, npz
from weightspace.images.imageset import Arrays, ImageSet, Sizes, assemble
from weightspace.images.known import BUILT_IN, PUBLISHED
from weightspace.images.search import directories, is_there, originals

_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue of image sets.

    Attributes
    ----------
    name : str
        The name for `load`.
    kind : str
        "built-in", "original" (the published files) or "npz".
    state : str
        "ready", "missing" or "damaged".
    where : str
        The folder or file, or where to put it.
    shape : tuple of int or None
        (rows, columns, channels); None unless ready.
    train, test : int or None
        The numbers of images; None unless ready.
    note : str
        One line, which says what to do if something must be done.
    """

    name: str
    kind: str
    state: str
    where: str
    shape: tuple[int, ...] | None
    train: int | None
    test: int | None
    note: str


def load(name: str, data_dir: str | Path | None = None) -> ImageSet:
    """Load an image set by name.

    Built-in sets (`digits`, `glyphs`, `textures`) need no files. Other sets are searched in
    `data_dir`, then in `$WEIGHTSPACE_DATA`, then in the user's cache directory. In each, `NAME.npz`
    comes before the published files. `hub:OWNER/NAME` (or `hub:OWNER/NAME/CONFIG`) downloads an
    image data set from the Hugging Face hub.

    Parameters
    ----------
    name : str
        The name of the set.
    data_dir : str or Path, optional
        The first directory to search.

    Returns
    -------
    ImageSet
        The caller may change its arrays.

    Raises
    ------
    DataError
        If the set is unknown, missing or damaged; one line that names the file and the remedy.

    Examples
    --------
    >>> load("digits").x_train.shape
    (1297, 8, 8, 1)
    """
    if name in BUILT_IN:
        arrays = Arrays(*(array.copy() for array in _built(name)))
        return assemble(name, name, arrays, BUILT_IN[name].classes)
    try:
        if name.startswith(hub.PREFIX):
            return assemble(name, name, *hub.read(name))
        return _from_files(name, directories(data_dir))
    except OSError as error:
        raise _unreadable(error, name) from None
    except MemoryError:
        raise DataError(
            name, "there is not enough memory for its images", "make a set of fewer"
        ) from None


def training_images(name: str, data_dir: str | Path | None = None) -> int:
    """The number of training images of a set, from headers alone where possible.

    A published set whose files are missing counts as complete, so that a run can be estimated
    before anything is downloaded.

    Parameters
    ----------
    name : str
        The name of the set.
    data_dir : str or Path, optional
        The first directory to search.

    Returns
    -------
    int

    Raises
    ------
    DataError
        As `load` does, for an unknown name.

    Examples
    --------
    >>> training_images("digits")
    1297
    """
    entry = {entry.name: entry for entry in catalogue(data_dir)}.get(name)
    if entry and entry.train is not None:
        return entry.train
    if entry and entry.state == "missing":
        return PUBLISHED[name].train
    return len(load(name, data_dir).y_train)


def catalogue(data_dir: str | Path | None = None) -> list[Entry]:
    """List every set that `load` knows: built-in, published, and each `NAME.npz` that is found.

    Only headers and file sizes are read. Sets of the Hugging Face hub are not listed. A file that
    is not an image set is listed as damaged; it does not raise an error.

    Parameters
    ----------
    data_dir : str or Path, optional
        The first directory to search.

    Returns
    -------
    list of Entry
    """
    places = directories(data_dir)
    found = {name: _built_in_entry(name, places) for name in BUILT_IN}
    found |= {name: _published_entry(name, places) for name in PUBLISHED}
    for path in _archives(places):
        if path.stem not in found:
            found[path.stem] = _file_entry(path.stem, "npz", path)
    return list(found.values())


@functools.cache
def _built(name: str) -> Arrays:
    return BUILT_IN[name].build()


def _from_files(name: str, places: list[Path]) -> ImageSet:
    known = PUBLISHED.get(name)
    if known is None and not _NAME.fullmatch(name):
        raise _unknown(name, places)
    for place in places:
        path = place / f"{name}.npz"
        if is_there(path):
            arrays, classes = npz.read(path)
            return assemble(name, path, arrays, classes or (known.classes if known else None))
        files = originals(known, place) if known else None
        if known and files and not files.missing:
            return assemble(name, files.folder, known.read(files.paths), known.classes)
    raise _missing(name, places) if known else _unknown(name, places)


def _archives(places: list[Path]) -> list[Path]:
    paths = [path for place in places for path in sorted(place.glob("*.npz"))]
    return [path for path in paths if _NAME.fullmatch(path.stem)]


def _built_in_entry(name: str, places: list[Path]) -> Entry:
    known = BUILT_IN[name]
    hidden = [path for path in _archives(places) if path.stem == name]
    note = (
        f"{hidden[0]} is not used because a built-in set has this name; rename it"
        if hidden
        else known.note
    )
    train, test, shape = known.sizes
    return Entry(name, "built-in", "ready", "", shape, train, test, note)


def _published_entry(name: str, places: list[Path]) -> Entry:
    known = PUBLISHED[name]
    for place in places:
        if is_there(path := place / f"{name}.npz"):
            return _file_entry(name, "npz", path)
        files = originals(known, place)
        if files and not files.missing:
            return _file_entry(name, "original", files.folder, files.paths)
    note = str(_missing(name, places)).removeprefix(f"{name}: ")
    where = str(places[0] / known.folders[0])
    return Entry(name, "original", "missing", where, None, None, None, note)


def _file_entry(name: str, kind: str, where: Path, paths: Sequence[Path] = ()) -> Entry:
    known = PUBLISHED.get(name)
    try:
        sizes: Sizes = known.peek(paths) if known and paths else npz.peek(where)
    except (DataError, OSError) as error:
        said = _unreadable(error, str(where)) if isinstance(error, OSError) else error
        return Entry(name, kind, "damaged", str(where), None, None, None, str(said))
    note = ""
    if known and (sizes.train < known.train or sizes.test < known.test):
        note = f"incomplete: the whole set has {known.train:,} + {known.test:,} images"
    return Entry(name, kind, "ready", str(where), sizes.shape, sizes.train, sizes.test, note)


def _unreadable(error: OSError, name: str) -> DataError:
    return DataError(
        error.filename or name,
        f"cannot be read ({error.strerror or error})",
        "check the file and its permissions",
    )


def _missing(name: str, places: list[Path]) -> DataError:
    known = PUBLISHED[name]
    for place in places:
        files = originals(known, place)
        if files:
            return DataError(
                name,
                f"{files.folder} has no {' and no '.join(files.missing)}",
                f"put the rest of the set there, from {known.source}",
            )
    pickled = [folder for place in places if (folder := place / "cifar-10-batches-py").is_dir()]
    if name == "cifar10" and pickled:
        return DataError(
            name,
            f"{pickled[0]} holds pickles, which are never opened",
            f"put the binary version next to it, from {known.source}",
        )
    return DataError(name, f"no files in {_listed(places)}", _remedy(name, places[0]))


def _remedy(name: str, place: Path) -> str:
    known = PUBLISHED[name]
    files = ", ".join(names[0] for names in known.files)
    packed = " (or .gz)" if any(file.endswith(".gz") for file in known.files[0]) else ""
    return (
        f"put {files}{packed} into {place / known.folders[0]}, from {known.source}, "
        f"or {name}.npz into {place}"
    )


def _unknown(name: str, places: list[Path]) -> DataError:
    others = [path.stem for path in _archives(places)]
    names = list(dict.fromkeys([*BUILT_IN, *PUBLISHED, *others]))
    close = difflib.get_close_matches(name, names, 1) or [n for n in names if n.startswith(name)]
    hint = f"did you mean {close[0]}? " if close and name else ""
    return DataError(
        repr(name),
        "is not an image set",
        f"{hint}known are {', '.join(names)}, hub:OWNER/NAME, and any NAME.npz in "
        f"{_listed(places)}",
    )


def _listed(places: list[Path]) -> str:
    return ", ".join(f"{place}{'' if place.is_dir() else ' (no such folder)'}" for place in places)
