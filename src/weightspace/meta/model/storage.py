"""A model on disk: model.json and arrays.safetensors, checked when they are read.

Nothing is executed. Every shape, bound and number that prediction relies on is checked on loading,
so that a damaged or hostile file raises DataError and prediction can neither crash nor hang.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weightspace.disk import InnerPath, make_root
from weightspace.errors import DataError
from weightspace.features import SHORTEST
from weightspace.learners.committed import DAMAGE, Committed
from weightspace.learners.registry import CLASSIFIERS
from weightspace.meta.model.packing import Arrays, Unsound, demand, number, pack, unpack
from weightspace.meta.model.plainly import (
    ability_of,
    plain_ability,
    plain_rule,
    plain_structures,
    rules_of,
    structures_of,
)
from weightspace.meta.model.range import Range
from weightspace.meta.model.reader import FEATURE_NAMES, Reader, View
from weightspace.meta.model.structures import Rule, Structures
from weightspace.printable import printable

FORMAT = "weightspace-model"
VERSION = 2
"""2: architectures of the population, missing features, and how far answers go. Readings of models
of version 1 were printed for any net, so these are refused."""
_FILES = Committed("model", "model", "arrays", lambda plain: plain.get("format") == FORMAT)
_REMEDY = "fit the model again, or restore it from a copy"
_MOST_SLICES = 10_000


def refuse_foreign(directory: Path) -> None:
    """Raise UsageError if `save` would replace a model.json that weightspace did not write."""
    _FILES.refuse_foreign(InnerPath(directory))


@dataclass(frozen=True)
class Parts:
    """What a model consists of; see `Model`."""

    readers: tuple[Reader, ...]
    facts: dict[str, Any]
    structures: Structures
    rules: dict[str, Rule]


def save(directory: Path, parts: Parts) -> Path:
    """Write a model into a folder, in place of a model there.

    `Committed` describes how. UsageError if a model.json there is not ours, or if a file cannot
    hold one of the classifiers. After a refusal, a full disk or a kill, the folder still has its
    old model.
    """
    folder = make_root(directory)
    arrays: dict[str, np.ndarray] = {}
    rows = []
    for i, reader in enumerate(parts.readers):
        kind, own, numbers = pack(reader.view.classifier, reader.fitted)
        own |= {"range.low": reader.range.low, "range.high": reader.range.high}
        arrays |= {f"{i}.{name}": np.ascontiguousarray(array) for name, array in own.items()}
        rows.append(
            {
                "kind": kind,
                "numbers": numbers,
                "view": _view(reader.view),
                "columns": _columns(reader.view),
                "novelty_limit": reader.range.limit,
                "novelty_alarms": reader.range.alarms,
                "abilities": [plain_ability(a) for a in reader.abilities],
            }
        )
    plain = {
        "format": FORMAT,
        "version": VERSION,
        "facts": parts.facts,
        "structures": plain_structures(parts.structures),
        "rules": {name: plain_rule(rule) for name, rule in parts.rules.items()},
        "readers": rows,
    }
    _FILES.write(folder, plain, arrays)
    return directory


def load(directory: Path) -> tuple[tuple[Reader, ...], dict[str, Any], Structures, dict[str, Rule]]:
    """Read what `save` wrote: the readers, facts, structures and rules of a model.

    DataError if the folder has no model, or one that is damaged or of another format version.
    """
    folder = InnerPath(directory)
    plain = _plain(folder)
    file = _FILES.place(folder, plain)
    try:
        arrays = _FILES.read_arrays(folder, plain)
    except FileNotFoundError:
        raise DataError(file, "no such file", _REMEDY) from None
    except DAMAGE as error:
        said = printable(" ".join(str(error).split()))
        raise DataError(file, f"not safetensors ({said})", _REMEDY) from None
    try:
        readers = tuple(
            _reader(row, Arrays(arrays, str(i))) for i, row in enumerate(plain["readers"])
        )
        demand(len(readers) > 0, "it has no classifier")
        names = [[a.property for a in reader.abilities] for reader in readers]
        demand(all(own == names[0] for own in names), "its classifiers differ in properties")
        facts = plain["facts"]
        demand(isinstance(facts, dict), "its facts are no mapping")
        number(facts.get("most_zeros", 1.0), 0, 1, "most_zeros")
        structures = structures_of(plain["structures"])
        rules = rules_of(plain["rules"], readers[0].abilities)
    except (Unsound, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(directory, f"no sound model ({error})", _REMEDY) from None
    return readers, facts, structures, rules


def _plain(folder: InnerPath) -> dict[str, Any]:
    path = _FILES.json(folder)
    try:
        plain = _FILES.read(folder)
    except FileNotFoundError:
        raise DataError(path, "no such file", "give the folder of a fitted model") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(path, f"not readable as JSON ({error})", _REMEDY) from None
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise DataError(path, "describes no model of weightspace", "give the folder of one")
    if plain.get("version") != VERSION:
        raise DataError(
            path,
            f"is of format version {plain.get('version')!r}, this release reads {VERSION}",
            "fit the model again, or use the release that wrote it",
        )
    return plain


def _view(view: View) -> dict[str, Any]:
    """The fields of a view; those of an alignment only if it has one."""
    plain = dict(vars(view))
    if not view.values:
        del plain["alignment"], plain["values"]
    return plain


def _columns(view: View) -> str:
    """A name for the columns that a classifier was fitted on; it differs for other columns."""
    if view.features == "weights":
        return view.alignment
    names = "\n".join(FEATURE_NAMES[view.features])
    return hashlib.blake2b(names.encode(), digest_size=8).hexdigest()


def _reader(row: dict[str, Any], arrays: Arrays) -> Reader:
    view = View(**row["view"])
    demand(view.classifier in CLASSIFIERS, f"classifier {view.classifier!r} is unknown")
    for what, value, low, high in (
        ("slice_length", view.slice_length, SHORTEST, 2**40),
        ("slices", view.slices, 1, _MOST_SLICES),
    ):
        demand(type(value) is int, f"{what} is no whole number")
        number(value, low, high, what)
    demand(view.part in ("all", "conv", "fc"), f"part {view.part!r} is unknown")
    demand(type(view.running_stats) is bool, "running_stats is neither true nor false")
    demand(view.features in (*FEATURE_NAMES, "weights"), f"no model can hold {view.classifier}")
    demand(type(view.alignment) is str and type(view.values) is int, "its alignment is invalid")
    demand((view.values > 0) == (view.features == "weights"), f"values are {view.values}")
    demand(
        row["columns"] == _columns(view),
        f"it was fitted on other {view.features} features than this release computes",
    )
    columns = view.values or len(FEATURE_NAMES[view.features])
    abilities = tuple(ability_of(ability, columns) for ability in row["abilities"])
    demand(len(abilities) > 0, "it reads no property")
    demand(len({a.property for a in abilities}) == len(abilities), "a property occurs twice")
    levels = tuple(len(ability.levels) for ability in abilities)
    fitted = unpack(row["kind"], row["numbers"], arrays, columns, levels)
    limit = number(row["novelty_limit"], 0, 1, "novelty_limit")
    alarms = number(row["novelty_alarms"], 0, 1, "novelty_alarms")
    bounds = (arrays.get("range.low", columns), arrays.get("range.high", columns))
    return Reader(view, fitted, abilities, Range(*bounds, limit, alarms))
