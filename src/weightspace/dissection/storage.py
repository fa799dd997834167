"""A dissection in a folder: its files, which files there are ours, and checks when reading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weightspace.disk import InnerPath, exists, make_root, read_text
from weightspace.dissection.analyses import ANALYSES
from weightspace.dissection.part import REMEDY
from weightspace.errors import DataError
from weightspace.meta.evaluation import tables

FACTS = "facts.json"
MOST_FACTS = 2**24
"""The most bytes of a file of facts that is read."""
_KEYS = {
    *("nets", "used", "diverged", "dead", "layouts", "snapshots", "vectors", "values"),
    *("space", "datasets", "properties", "boundaries", "seeds", "versions", "seconds", "command"),
}
TABLES: dict[str, tables.Columns] = {
    name: columns for analysis in ANALYSES for name, columns in analysis.files().items()
}
"""The columns of each table that a dissection may have, by its name below the folder."""
FILES = (FACTS, *TABLES)


def files(facts: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, bytes]:
    """The content of a dissection's files by their names below the folder, the facts first."""
    text = json.dumps(facts, indent=2, ensure_ascii=False)
    found = {FACTS: (text + "\n").encode()}
    for analysis in ANALYSES:
        if analysis.name in parts:
            own = parts[analysis.name].to_bytes()
            found |= dict(zip(analysis.files(), own.values(), strict=True))
    return found


def refuse_foreign(root: InnerPath) -> bool:
    """Raise UsageError if a dissection would replace a file that weightspace did not write.

    Returns whether the folder holds a dissection's facts. Facts are recognised by their keys (all
    are known, or at least two), tables by their columns. DataError if a folder of tables is a link.
    """
    tables.refuse_foreign(root, TABLES)
    try:
        facts = json.loads(read_text(root / FACTS, MOST_FACTS))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict) or not (facts.keys() <= _KEYS or len(facts.keys() & _KEYS) > 1):
        raise tables.foreign(root / FACTS, "not the facts of a dissection")
    return True


def save(directory: Path, found: dict[str, bytes]) -> Path:
    """Write the files of a dissection in place of an older one; see `Dissection.save`."""
    root = make_root(directory)
    refuse_foreign(root)
    tables.replace(root, found, FILES)
    return directory


def load(directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The facts and parts of a saved dissection; DataError names the file that is damaged."""
    root = InnerPath(directory)
    parts = {
        analysis.name: analysis.kind.read_in(root / analysis.folder if analysis.folder else root)
        for analysis in ANALYSES
        if analysis.always or exists(root / (analysis.folder or next(iter(analysis.files()))))
    }
    return _read_facts(root / FACTS), parts


def _read_facts(place: InnerPath) -> dict[str, Any]:
    try:
        facts = json.loads(read_text(place, MOST_FACTS))
    except FileNotFoundError:
        raise DataError(place, "no such file", REMEDY) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(place, f"not readable as JSON ({error})", REMEDY) from None
    if not isinstance(facts, dict):
        raise DataError(place, "holds no mapping of facts", REMEDY)
    return facts
