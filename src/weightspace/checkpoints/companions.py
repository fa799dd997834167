"""What a training leaves beside the weights in a folder: optimizer, schedule, settings."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from weightspace import disk
from weightspace.checkpoints.contents import Contents, Opened
from weightspace.checkpoints.formats.torchfiles import PICKLED, ZIPPED
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.remote import opened
from weightspace.checkpoints.tensors import Values, size_of
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.networks.roles import Note

_TORCH = ("optimizer.pt", "optimizer.bin", "scheduler.pt", "scheduler.bin", "training_args.bin")
_JSON = ("trainer_state.json", "adapter_config.json")
_HEAD = 4096
_LONGEST = 2**24  # bytes of a JSON file


def with_companions(contents: Contents, folder: InnerPath, closing: ExitStack) -> Contents:
    """What a file holds, with what those files beside it hold that are known by their names.

    A file that cannot be read is a note, since the weights do not need it.
    """
    found: dict[str, Contents] = {}
    notes: list[Note] = []
    for name in (*_TORCH, *_JSON):
        place = folder / name
        try:
            if disk.is_file(place):
                found[name] = _read(place, closing)
        except Refusal as refusal:
            notes.append(Note(name, (), "file", f"cannot be read: {refusal.cause}"))
        except DataError as error:
            notes.append(Note(name, (), "file", f"cannot be read: {error.cause}"))
        except OSError as error:
            notes.append(Note(name, (), "file", f"cannot be read: {error.strerror or error}"))
    if not found and not notes:
        return contents
    facts = {**contents.facts, "read beside": list(found)} if found else contents.facts
    return replace(contents, companions=found, notes=(*contents.notes, *notes), facts=facts)


def _read(place: InnerPath, closing: ExitStack) -> Contents:
    file = closing.enter_context(opened(place))
    size = size_of(file)
    file.seek(0)
    if place.suffix == ".json":
        if size > _LONGEST:
            raise Refusal(f"refused; {size:,} bytes, at most {_LONGEST:,} are read")
        return Contents("JSON", _parsed(file.read(_LONGEST)), Values(file))
    one = Opened(file, place, size, file.read(_HEAD), closing)
    form = next((form for form in (ZIPPED, PICKLED) if form.fits(one)), None)
    if form is None:
        raise Refusal("no torch file")
    return form.read(one)


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise Refusal("no JSON object")
    return said
