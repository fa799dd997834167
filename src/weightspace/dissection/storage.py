"""A dissection in a folder: which files, which of those there are ours, read with suspicion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weightspace.disk import InnerPath, exists, make_root, read_text
from weightspace.dissection import parts as kinds
from weightspace.errors import DataError
from weightspace.meta import Evaluation, Regression
from weightspace.meta.evaluation import regression, tables
from weightspace.meta.evaluation import result as evaluation

FACTS = "facts.json"
MOST_FACTS = 2**24
"""Bytes of the facts that are read."""
_KEYS = {
    *("nets", "used", "diverged", "dead", "layouts", "snapshots", "vectors", "values"),
    *("space", "datasets", "properties", "boundaries", "seeds", "versions", "seconds", "command"),
}
_ALWAYS = ("where", "when", "training")
_FRAMES: dict[str, tuple[Any, tables.Columns]] = {
    "where": (kinds.Where, kinds.WHERE_COLUMNS),
    "when": (kinds.When, kinds.WHEN_COLUMNS),
    "training": (kinds.Training, kinds.TRAINING_COLUMNS),
    "slices": (kinds.Slices, kinds.SLICES_COLUMNS),
    "transfer": (kinds.Transfer, kinds.TRANSFER_COLUMNS),
    "what": (kinds.What, kinds.WHAT_COLUMNS),
    "map": (kinds.Map, kinds.MAP_COLUMNS),
    "unseen": (kinds.Unseen, kinds.UNSEEN_COLUMNS),
}
_FOLDERS: dict[str, Any] = {"bare": Evaluation, "numbers": Regression}
TABLES: dict[str, tables.Columns] = (
    evaluation.FILES
    | {f"{name}.parquet": columns for name, (_, columns) in _FRAMES.items()}
    | {f"bare/{file}": columns for file, columns in evaluation.FILES.items()}
    | {f"numbers/{file}": columns for file, columns in regression.FILES.items()}
)
"""The columns of each table that a dissection may have, by its name below the folder."""
FILES = (FACTS, *TABLES)
_REMEDY = "save the dissection again, or name the folder that holds one"


def files(facts: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, bytes]:
    """What a dissection is kept in, by names below the folder; the facts, which tell it, first."""
    text = json.dumps(facts, indent=2, ensure_ascii=False)
    found = {FACTS: (text + "\n").encode()}
    found |= parts["much"].to_bytes()
    for name in (frame for frame in _FRAMES if frame in parts):
        found[f"{name}.parquet"] = tables.parquet(parts[name].frame())
    for name in (folder for folder in _FOLDERS if folder in parts):
        found |= {f"{name}/{file}": data for file, data in parts[name].to_bytes().items()}
    return found


def refuse_foreign(root: InnerPath) -> bool:
    """UsageError where a file that a dissection would replace is none that weightspace wrote.

    Returns whether the folder holds a dissection's facts. Those are told by their keys (all are
    known, or two of them), tables by their columns. DataError where a folder of tables is a link.
    """
    tables.refuse_foreign(root, TABLES)
    try:
        facts = json.loads(read_text(root / FACTS, MOST_FACTS))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict) or not (facts.keys() <= _KEYS or len(facts.keys() & _KEYS) > 1):
        raise tables.foreign(root / FACTS, "no facts of a dissection")
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
        name: kind(tables.read_table(root / f"{name}.parquet", columns, _REMEDY))
        for name, (kind, columns) in _FRAMES.items()
        if name in _ALWAYS or exists(root / f"{name}.parquet")
    }
    parts |= {
        name: kind.read_in(root / name) for name, kind in _FOLDERS.items() if exists(root / name)
    }
    return _read_facts(root / FACTS), {"much": Evaluation.read_in(root), **parts}


def _read_facts(place: InnerPath) -> dict[str, Any]:
    try:
        facts = json.loads(read_text(place, MOST_FACTS))
    except FileNotFoundError:
        raise DataError(f"{place}: no such file; {_REMEDY}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{place}: not readable as JSON ({error}); {_REMEDY}") from None
    if not isinstance(facts, dict):
        raise DataError(f"{place}: holds no mapping of facts; {_REMEDY}")
    return facts
