"""`Dissection`: how much, where and when as tidy tables, in memory and in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightspace.dissection import storage
from weightspace.dissection.analyses import BY_NAME


@dataclass(frozen=True, eq=False)
class Dissection:
    """How much, where and when each hyper-parameter can be read off a population's weights.

    Each part is an attribute, by the name of its analysis: `much` (an `Evaluation`), `where`,
    `when` and `training` always; `bare` (`much` without batch norm's running statistics),
    `numbers`, `slices`, `transfer`, `what`, `map` and `unseen` are None where they were not asked
    for.

    Parameters
    ----------
    facts : dict
        What is needed to trust and to repeat it: nets, dead, diverged, snapshots, vectors, values,
        datasets, properties, boundaries, seeds, versions, seconds, command.
    parts : dict
        What each analysis found, by its name.
    """

    facts: dict[str, Any]
    parts: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        if name in BY_NAME:
            return self.parts.get(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def but(self, **parts: Any) -> Dissection:
        """The same with other parts; one that is None is left out."""
        both = self.parts | parts
        return Dissection(self.facts, {k: part for k, part in both.items() if part is not None})

    def save(self, directory: str | Path) -> Path:
        """Write the tables as Parquet, one a file, and `facts.json`.

        The tables of `much` and one a part lie in the folder, those of `bare` and `numbers` in
        folders of these names. Files of an older dissection are replaced or removed, once all that
        is new lies on the disk.

        Parameters
        ----------
        directory : str or Path
            Made when it is missing.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        UsageError
            Where a file in the place of one of them is none that weightspace wrote: tables are
            told by their columns, the facts by their keys.
        """
        return storage.save(Path(directory), self.to_bytes())

    def to_bytes(self) -> dict[str, bytes]:
        """The files that `save` writes, by their names below the folder."""
        return storage.files(self.facts, self.parts)

    @classmethod
    def load(cls, directory: str | Path) -> Dissection:
        """Read what `save` wrote; DataError names the file that is missing or damaged."""
        return cls(*storage.load(Path(directory)))
