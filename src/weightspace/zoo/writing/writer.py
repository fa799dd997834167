"""`Writer`: create a zoo and add stacks of nets, each completely or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weightspace import disk
from weightspace.disk import InnerPath, explained, remove_leftovers, write_file
from weightspace.errors import UsageError
from weightspace.networks import Layout
from weightspace.space import Space
from weightspace.zoo.files import places
from weightspace.zoo.files.dtypes import FLOAT32
from weightspace.zoo.files.sealed import seal
from weightspace.zoo.format import manifest, rounds, states
from weightspace.zoo.format.rounds import Round
from weightspace.zoo.reading.nets import read_nets
from weightspace.zoo.reading.source import Folder
from weightspace.zoo.writing.unitwriter import UnitWriter


class Writer:
    """Creates a zoo, or opens the same zoo again to continue it.

    Any number of processes may each have a writer for one zoo.

    Parameters
    ----------
    path : str or Path
        The folder of the zoo.
    space : Space
        The space from which the nets are drawn.
    seed : int
        The seed of the draw.
    info : mapping, optional
        Further facts for `zoo.json`, plain JSON values. Its entry `snapshots` is part of the zoo's
        identity, like space, seed and `dtype`. Its entries `versions` and `created` replace the
        defaults.
    dtype : {"float32", "bfloat16"}
        How to store values. bfloat16 halves the size of the zoo; values are rounded to 8
        significant bits.

    Raises
    ------
    UsageError
        If the folder contains another zoo or other files. Nothing is changed.
    DataError
        If the folder cannot be written.

    Examples
    --------
    Write one net with one snapshot, and read it back:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from weightspace import Zoo, preset
    >>> from weightspace.networks import Plan
    >>> space = preset("demo")
    >>> (recipe,) = space.draw(1, seed=0)
    >>> layout = Plan.from_recipe(recipe).layout()
    >>> values = np.zeros(layout.size, np.float32)
    >>> row = {"net": recipe.net, "index": 0, "split": "train", "steps": 0, "diverged": False}
    >>> row = {**recipe.to_dict(), **row, "diverged_step": None, "dead": False}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = Writer(Path(folder) / "zoo", space=space, seed=0)
    ...     with writer.unit("a", nets=[recipe.net], layout=layout, snapshots=1) as unit:
    ...         unit.put(recipe.net, 1, values)
    ...         snapshot = {"net": recipe.net, "snapshot": 1, "step": 0, "epoch": 0.0}
    ...         unit.commit(nets=[row], snapshots=[snapshot])
    ...     zoo = Zoo(writer.path)
    ...     print(zoo.nets.height, len(zoo.vector(recipe.net)) == layout.size)
    1 True
    """

    def __init__(
        self,
        path: str | Path,
        *,
        space: Space,
        seed: int,
        info: Mapping[str, Any] | None = None,
        dtype: str = FLOAT32.name,
    ) -> None:
        places.refuse_url(path)
        self.path = Path(path)
        here = manifest.compose(space, seed, dict(info or {}), dtype)
        root = InnerPath(self.path)
        with explained(self.path):
            if not disk.exists(root / places.MANIFEST):
                _refuse_foreign(root)
                _create(root, here)
        self.meta = manifest.read(self.path)
        manifest.refuse_other(self.path, self.meta, here)
        with explained(self.path):
            for folder in places.FOLDERS:
                disk.make_folder(root / folder)
        remove_leftovers(root)
        remove_leftovers(root / places.ROUNDS)
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        """Remove unfinished files of stacks that another process has finished."""
        finished = self.finished
        for unit in finished.intersection(places.units(self.path, places.STATES)):
            states.remove(self.path, unit)
        for folder in (places.SHARDS, places.SNAPSHOTS, places.NETS):
            place = InnerPath(self.path) / folder
            for file in disk.temporaries(place):
                if (unit := file.name.split(".")[1]) in finished:
                    remove_leftovers(place, unit)

    @property
    def finished(self) -> set[str]:
        """The names of the committed stacks, whichever process wrote them."""
        return set(places.units(self.path, places.NETS))

    @property
    def nets(self) -> set[str]:
        """The ids of the nets that are committed; DataError where a part of theirs is damaged."""
        source = Folder(self.path)
        return set(read_nets(source, source.units())["net"])

    def begin(self, number: int, added: Round) -> bool:
        """Add a round to the zoo.

        Parameters
        ----------
        number : int
            The number of the round, from 1.
        added : Round
            The nets that are to be sampled.

        Returns
        -------
        bool
            False if the zoo has a round of that number; then read the rounds again.
        """
        return rounds.add(self.path, number, added)

    def describe(self, space: Space, info: Mapping[str, Any]) -> None:
        """Replace the space and the free facts in `zoo.json`.

        For a zoo that grows by nets that were not drawn from a space. The caller sees to it that no
        other process does so at the same time (`disk.alone_in`).

        Parameters
        ----------
        space : Space
            A space that has all nets of the zoo.
        info : mapping
            Plain JSON values.
        """
        dtype, versions = manifest.dtype(self.meta).name, self.meta["versions"]
        kept = {"created": self.meta["created"], "versions": versions}
        meta = manifest.compose(space, self.meta["seed"], dict(info) | kept, dtype)
        if meta != self.meta:
            write_file(InnerPath(self.path) / places.MANIFEST, _sealed(meta))
            self.meta = meta

    def drop(self, name: str) -> None:
        """Remove what an unfinished stack left: its state and its vectors.

        Parameters
        ----------
        name : str
            The name of the stack, which no process may be writing.
        """
        places.check_unit(name)
        with explained(self.path):
            states.remove(self.path, name)
            for folder in (places.SHARDS, places.SNAPSHOTS, places.NETS):
                remove_leftovers(InnerPath(self.path) / folder, name)

    def unit(
        self,
        name: str,
        *,
        nets: Sequence[str],
        layout: Layout,
        snapshots: int,
        going_on: bool = False,
    ) -> UnitWriter:
        """A new stack of nets, to be used in a `with` block.

        The zoo does not change if the block is left without `commit`. A state that was saved stays,
        and whoever opens the stack with `going_on` finds it in `UnitWriter.saved`.

        Parameters
        ----------
        name : str
            The name of the stack: lower-case letters, digits and hyphens.
        nets : sequence of str
            The names of its nets.
        layout : Layout
            The layout of all its nets.
        snapshots : int
            The most snapshots of a net.
        going_on : bool
            Whether to continue from a saved state, if there is one.

        Returns
        -------
        UnitWriter
        """
        dtype = manifest.dtype(self.meta)
        return UnitWriter(self.path, name, list(nets), layout, snapshots, dtype, going_on)


def reclaimable(path: str | Path) -> int:
    """Bytes on disk that unfinished stacks of a zoo use.

    Continuing these stacks frees the bytes of their shards and states.

    Parameters
    ----------
    path : str or Path
        The folder of the zoo.

    Returns
    -------
    int
    """
    root = InnerPath(Path(path))
    states_of = (root / places.STATES / name for name in disk.names(root / places.STATES))
    kept = sum(disk.size(place) for place in states_of if disk.is_file(place))
    return disk.held_by_leftovers(root / places.SHARDS) + kept


def _refuse_foreign(root: InnerPath) -> None:
    """Refuse a folder that is neither a zoo nor empty."""
    if root.path.exists() and not root.path.is_dir():
        raise UsageError(root, "is a file", "choose another folder")
    # Another process may be creating the same zoo at this moment.
    if any(not disk.is_temporary(name) for name in disk.names(root)):
        if disk.exists(root / places.MANIFEST):
            return
        raise UsageError(
            root, "is not a zoo and has other files in it", "choose another folder, or an empty one"
        )


def _create(root: InnerPath, meta: dict[str, Any]) -> None:
    disk.make_root(root.path)
    # If several processes create it, one file stays, and all compare their settings with it.
    write_file(root / places.MANIFEST, _sealed(meta), replace=False)


def _sealed(meta: dict[str, Any]) -> bytes:
    return json.dumps(seal(meta), indent=1).encode() + b"\n"
