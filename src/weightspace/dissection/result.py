"""`Dissection`: how much, where and when as tidy tables, in memory and in a folder."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from weightspace.dissection import storage
from weightspace.dissection.parts import Map, Slices, Training, Transfer, Unseen, What, When, Where
from weightspace.meta import Evaluation, Regression


@dataclass(frozen=True, eq=False)
class Dissection:
    """How much, where and when each hyper-parameter can be read off a population's weights.

    `facts` holds what is needed to trust and to repeat it: nets, dead, diverged, snapshots,
    vectors, values, datasets, properties, boundaries, seeds, versions, seconds, command. What was
    not asked for is None: `bare` is `much` without batch norm's running statistics.
    """

    much: Evaluation
    where: Where
    when: When
    training: Training
    facts: dict[str, Any]
    bare: Evaluation | None = None
    numbers: Regression | None = None
    slices: Slices | None = None
    transfer: Transfer | None = None
    what: What | None = None
    map: Map | None = None
    unseen: Unseen | None = None

    def save(self, directory: str | Path) -> Path:
        """Write the tables as Parquet, one a file, and `facts.json`; returns the folder.

        Those of `much` and one a part; those of `bare` and `numbers` in folders of these names. The
        folder is made when it is missing. Files of an older dissection are replaced or removed,
        once all that is new lies on the disk. UsageError where a file in the place of one of them
        is none that weightspace wrote: tables are told by their columns, the facts by their keys.
        """
        return storage.save(Path(directory), self.to_bytes())

    def to_bytes(self) -> dict[str, bytes]:
        """The files that `save` writes, by their names below the folder."""
        parts = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "facts"}
        return storage.files(self.facts, {k: v for k, v in parts.items() if v is not None})

    @classmethod
    def load(cls, directory: str | Path) -> Dissection:
        """Read what `save` wrote; DataError names the file that is missing or damaged."""
        facts, parts = storage.load(Path(directory))
        return cls(facts=facts, **parts)
