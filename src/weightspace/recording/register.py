"""What `zoo.json` says of recorded runs: their numbers, the values that occur, further columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import UsageError
from weightspace.interop.spaces import space_of
from weightspace.recording.recipes import Known
from weightspace.space import Space
from weightspace.space.recipe import FIELDS
from weightspace.zoo import MANIFEST, Writer, stratified
from weightspace.zoo.files import places
from weightspace.zoo.format import manifest
from weightspace.zoo.format.splits import BLOCK

ENTRY = "recorded"
"""The entry of `info` in `zoo.json` that recorded zoos have."""
_WAIT = 60.0  # seconds, for other runs that begin or end
_MOST_NUMBERS = 64  # different values of a range that are kept
_NAME, _ABOUT = "recorded", "Runs that were recorded in training loops of their own."


class Register:
    """The zoo of the recorded runs, of which only one process at a time changes `zoo.json`.

    Parameters
    ----------
    path : Path
        The folder of the zoo; it is made by the first run.
    dtype : str
        How the zoo stores values.
    """

    def __init__(self, path: Path, dtype: str) -> None:
        places.refuse_url(path)
        self.path, self._dtype = path, dtype

    @contextmanager
    def alone(self) -> Iterator[Writer]:
        """A writer of the zoo, while no other process begins or ends a run in it."""
        root = disk.make_root(self.path)
        with disk.alone_in(root, wait=_WAIT):
            writer = self._writer(root)
            _remove_unsaved(root)
            yield writer

    def enter(self, writer: Writer, known: Known, snapshots: int) -> int:
        """Give a run its number, and keep what its further columns hold."""
        info = dict(writer.meta["info"])
        entry = dict(info[ENTRY])
        kinds = joined_kinds(entry["columns"], known.kinds, f"other runs of {self.path}")
        index: int = entry["next"]
        info[ENTRY] = entry | {"next": index + 1, "columns": kinds}
        info["snapshots"] = max(info["snapshots"], snapshots)
        writer.describe(manifest.space_of(writer.meta), info)
        return index

    def widen(self, writer: Writer, recipe: Mapping[str, Any]) -> None:
        """Make the space of the zoo one that has this recipe, before its net is committed."""
        info = dict(writer.meta["info"])
        values = dict(info[ENTRY]["values"])
        for name, value in recipe.items():
            if name != "seed":
                values[name] = _with(values.get(name, []), value)
        info[ENTRY] = info[ENTRY] | {"values": values}
        writer.describe(_space(values), info)

    def admit(
        self,
        writer: Writer,
        recipes: Iterable[Mapping[str, Any]],
        kinds: Mapping[str, str],
        snapshots: int,
    ) -> None:
        """Make the zoo one that can have runs with these recipes, which other zoos hold."""
        info = dict(writer.meta["info"])
        entry = dict(info[ENTRY])
        values = dict(entry["values"])
        for recipe in recipes:
            for name in FIELDS.keys() & recipe.keys() - {"seed"}:
                if recipe[name] is not None:
                    values[name] = _with(values.get(name, []), recipe[name])
        kinds = joined_kinds(entry["columns"], kinds, f"other runs of {self.path}")
        info[ENTRY] = entry | {"columns": kinds, "values": values}
        info["snapshots"] = max(info["snapshots"], snapshots)
        writer.describe(_space(values), info)

    def number(self, writer: Writer, wish: int) -> int:
        """Give a run of another zoo its number there, if it is above all numbers here."""
        info = dict(writer.meta["info"])
        entry = dict(info[ENTRY])
        number: int = max(wish, entry["next"])
        info[ENTRY] = entry | {"next": number + 1}
        writer.describe(manifest.space_of(writer.meta), info)
        return number

    def _writer(self, root: InnerPath) -> Writer:
        if not disk.exists(root / MANIFEST):
            entry = {"next": 0, "columns": {}, "values": {}}
            info: dict[str, Any] = {"snapshots": 0, ENTRY: entry}
            return Writer(self.path, space=_space({}), seed=0, info=info, dtype=self._dtype)
        meta = manifest.read(self.path)
        if ENTRY not in meta["info"]:
            raise UsageError(
                self.path, "is a zoo of nets that were not recorded", "choose another folder"
            )
        return Writer(
            self.path,
            space=manifest.space_of(meta),
            seed=meta["seed"],
            info=meta["info"],
            dtype=self._dtype,
        )


def joined_kinds(there: Mapping[str, str], kinds: Mapping[str, str], others: str) -> dict[str, str]:
    """What further columns hold, those of `others` and new ones; UsageError if they disagree."""
    for name, kind in kinds.items():
        if there.get(name, kind) != kind:
            raise UsageError(
                name,
                f"is a {kind}, and a {there[name]} in {others}",
                "rename it, or write it as they do",
            )
    return {**there, **kinds}


def _remove_unsaved(root: InnerPath) -> None:
    """Remove the empty files of runs that were killed before anything of them was saved."""
    saved = set(places.units(root.path, places.STATES))
    for file in disk.temporaries(root / places.SHARDS):
        if (unit := file.name.split(".")[1]) not in saved:
            disk.remove_leftovers(file.parent, unit)  # those that are being written stay


def split_of(index: int) -> str:
    """The split of a run: one of every five consecutive runs is a test net.

    >>> [split_of(index) for index in range(100)].count("test")
    20
    """
    whole = (index // BLOCK + 1) * BLOCK
    return stratified(np.zeros((whole, 0), np.int64), seed=0)[index]


def _with(values: list[Any], value: Any) -> list[Any]:
    """The different values with one more; of many numbers only some between the extremes."""
    if value in values:
        return values
    found = sorted([*values, value])
    if isinstance(value, float) and len(found) > _MOST_NUMBERS:
        inner = [found[i] for i in range(1, len(found) - 1, 2)]
        found = [found[0], *inner, found[-1]]
    return found


def _space(values: Mapping[str, list[Any]]) -> Space:
    recipes = [{name: value} for name, own in values.items() for value in own]
    try:
        return space_of(_NAME, _ABOUT, recipes)
    except UsageError:  # the most blocks do not fit in the shallowest net
        rest = [recipe for recipe in recipes if "blocks" not in recipe]
        return space_of(_NAME, _ABOUT, rest)
