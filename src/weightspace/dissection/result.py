"""`Dissection`: the results of all analyses as tables, in memory and in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightspace.dissection import storage
from weightspace.dissection.analyses import BY_NAME
from weightspace.markup import summary


@dataclass(frozen=True, eq=False)
class Dissection:
    """How well, where and when each hyper-parameter can be read from a population's weights.

    Each result is an attribute by the name of its analysis in `ANALYSES`, such as `much` (an
    `Evaluation`). The results of optional analyses (`ALSO`) are None where they were not requested.

    Parameters
    ----------
    facts : dict
        The facts needed to check and repeat the dissection: nets, dead, diverged, snapshots,
        vectors, values, datasets, properties, boundaries, seeds, versions, seconds, command.
    parts : dict
        The result of each analysis by its name.
    """

    facts: dict[str, Any]
    parts: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        if name in BY_NAME:
            return self.parts.get(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _repr_html_(self) -> str:
        facts = [
            (name.replace("_", " "), value)
            for name, value in self.facts.items()
            if isinstance(value, str | int | float)
        ]
        facts.append(("results", ", ".join(self.parts)))
        much = self.parts.get("much")
        table = "" if much is None else much._repr_html_()
        return summary("Dissection", facts) + table

    def but(self, **parts: Any) -> Dissection:
        """Return a dissection with some results replaced.

        Parameters
        ----------
        **parts
            New results by the names of their analyses; None removes a result.

        Returns
        -------
        Dissection
        """
        both = self.parts | parts
        return Dissection(self.facts, {k: part for k, part in both.items() if part is not None})

    def save(self, directory: str | Path) -> Path:
        """Write each table as a Parquet file, and `facts.json`.

        Tables are in `directory`, or below it in the folder that their analysis names.
        Files of an older dissection are replaced or removed, after all new files are on the disk.

        Parameters
        ----------
        directory : str or Path
            The folder. It is made when it is missing.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        UsageError
            If weightspace did not write a file that would be replaced. Tables are recognised by
            their columns, the facts by their keys.
        """
        return storage.save(Path(directory), self.to_bytes())

    def to_bytes(self) -> dict[str, bytes]:
        """Return the files that `save` writes.

        Returns
        -------
        dict of str to bytes
            The content of each file by its name below the folder.
        """
        return storage.files(self.facts, self.parts)

    @classmethod
    def load(cls, directory: str | Path) -> Dissection:
        """Read what `save` wrote.

        Parameters
        ----------
        directory : str or Path
            The folder.

        Returns
        -------
        Dissection

        Raises
        ------
        DataError
            With the name of the file that is missing or damaged.
        """
        return cls(*storage.load(Path(directory)))
