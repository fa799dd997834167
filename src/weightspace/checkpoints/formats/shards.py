"""One checkpoint in several files, which an index lists: `*.index.json` of Hugging Face."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from weightspace.checkpoints.contents import Contents, Form, Opened
from weightspace.checkpoints.formats import safetensors, torchfiles
from weightspace.checkpoints.formats.neighbours import Neighbours
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.selection.states import check_entries, choose, note, state_dicts
from weightspace.checkpoints.tensors import Tensor
from weightspace.networks.roles import Note
from weightspace.printable import printable

_FORMS = (torchfiles.ZIPPED, torchfiles.PICKLED, safetensors.FORM)
_LONGEST = 2**24  # bytes of an index; a thousand tensors take about 100,000
_ONE = re.compile(r"-(\d{1,6})-of-(\d{1,6})\.")
_HEAD = 4096


def _fits(opened: Opened) -> bool:
    if not opened.head.lstrip().startswith(b"{"):
        return False
    return b'"weight_map"' in opened.head or opened.place.name.endswith(".index.json")


def _read(opened: Opened) -> Contents:
    index, said = _index(opened)
    files = Neighbours(opened.place, opened.closing)
    tensors: dict[str, Tensor] = {}
    notes: list[Note] = []
    parts: list[Contents] = []
    for name, wanted in index.items():
        part = _part(opened, files, name)
        parts.append(part)
        held = choose(state_dicts(part.content), None).tensors
        missing = next((key for key in wanted if key not in held), None)
        if missing is not None:
            raise Refusal(
                f"{printable(name, 80)} does not have {printable(missing, 80)}, which the index "
                "says is in it",
                "fetch all files again",
            )
        for key, tensor in held.items():
            if key in wanted:
                tensors[key] = tensor
            else:
                notes.append(note(key, tensor, f"in {printable(name, 80)}, but not in the index"))
    check_entries(tensors)
    ordered = parts[0].ordered and all(part.ordered for part in parts)
    foreign = {name: at for part in parts for name, at in part.foreign.items()}
    facts = {"shards": len(parts), **({"metadata": said} if said else {})}
    return Contents(
        f"{parts[0].form} in {len(parts)} shards" if len(parts) > 1 else parts[0].form,
        tensors,
        parts[0].values,
        ordered,
        (*notes, *(one for part in parts for one in part.notes)),
        foreign,
        facts,
        files.size,
    )


def _index(opened: Opened) -> tuple[dict[str, dict[str, None]], dict[str, Any]]:
    """The names that each file has, in the order of the index, and its metadata."""
    if opened.size > _LONGEST:
        raise Refusal(
            f"refused; an index of {opened.size:,} bytes, at most {_LONGEST:,} are read",
            "fetch it again from its source",
        )
    opened.file.seek(0)
    try:
        said = json.loads(opened.file.read(opened.size))
        found: dict[str, dict[str, None]] = {}
        for key, name in said["weight_map"].items():
            if type(name) is not str:
                raise TypeError
            found.setdefault(name, {})[key] = None
        if not found:
            raise ValueError
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise Refusal("JSON text, not weights", "name the file of the weights") from None
    check_entries(said["weight_map"])
    metadata = said.get("metadata")
    plain = {
        printable(key, 60): value if isinstance(value, int | float) else printable(value)
        for key, value in (metadata.items() if isinstance(metadata, dict) else ())
    }
    return found, plain


def _part(opened: Opened, files: Neighbours, name: str) -> Contents:
    """What one of the files holds; its storages know that they are in it."""
    file, size = files.beside(name)
    try:
        one = Opened(file, files.where(name), size, file.read(_HEAD), opened.closing)
        form = next((form for form in _FORMS if form.fits(one)), None)
        if form is None:
            raise Refusal("neither a safetensors nor a torch file", "fetch it again")
        part = form.read(one)
    except Refusal as refusal:
        raise Refusal(f"{printable(name, 120)}: {refusal.cause}", refusal.remedy) from None
    for found in state_dicts(part.content):
        for tensor in found.tensors.values():
            if tensor.storage is not None:
                tensor.storage.file = file
                tensor.storage.order = tensor.storage.order or part.values.order
    return part


def shard_of(name: str) -> str:
    """Which of several files a name says it is, such as "1 of 3"; empty if it says nothing.

    >>> shard_of("model-00001-of-00003.safetensors")
    '1 of 3'
    """
    match = _ONE.search(name)
    return f"{int(match[1])} of {int(match[2])}" if match and int(match[2]) > 1 else ""


def with_shard(contents: Contents, name: str) -> Contents:
    """What a file holds, with the fact that it is one of several shards."""
    if not (which := shard_of(name)):
        return contents
    facts = {**contents.facts, "shard": which, "remedy": "name the index to read all shards"}
    return replace(contents, facts=facts)


FORM = Form("index of shards", (".index.json",), _fits, _read)
