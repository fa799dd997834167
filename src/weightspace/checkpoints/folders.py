"""Which file of a folder is the checkpoint, as Hugging Face's libraries lay folders out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from weightspace import disk
from weightspace.checkpoints.contents import Contents
from weightspace.checkpoints.formats.strangers import strange_folder
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.remote import Place, RemotePath
from weightspace.disk import InnerPath
from weightspace.networks.roles.words import natural

_USUAL = (
    "model.safetensors", "model.safetensors.index.json", "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json", "pytorch_model.bin",
    "pytorch_model.bin.index.json", "diffusion_pytorch_model.bin", "adapter_model.safetensors",
    "adapter_model.bin", "tf_model.h5", "flax_model.msgpack",
)  # fmt: skip
_NUMBERED = re.compile(r"((checkpoint|epoch|step|global_?step)[-_=]?)?\d{1,12}")
_ENDS = (".safetensors", ".h5", ".keras", ".onnx", ".gguf", ".msgpack")


def chosen(place: Place) -> tuple[Place, dict[str, Any]]:
    """The file itself, or the checkpoint of a folder and the facts that say which it is.

    Of the usual names the first is taken, else the only file of a known form.
    """
    if isinstance(place, RemotePath):
        if place.parts:
            return place, {}
        names = {name for name in place.names or () if "/" not in name}
        inner: Place = place
    elif isinstance(place, Path) and _is_folder(place):
        names = set(disk.names(InnerPath(place)))
        inner = InnerPath(place)
    else:
        return place, {}
    found = [name for name in _USUAL if name in names]
    if not found:
        if (refusal := strange_folder(names)) is not None:
            raise refusal
        found = sorted(name for name in names if name.endswith(_ENDS))
        numbered = sorted(filter(_NUMBERED.fullmatch, names), key=natural)
        if numbered and not found:
            raise Refusal("a folder of checkpoints", f"name one in it, such as {numbered[-1]}")
        if len(found) != 1:
            raise Refusal("a folder", "name the checkpoint file in it")
    facts: dict[str, Any] = {"file": found[0]}
    if found[1:]:
        facts["also"] = found[1:]
    return inner / found[0], facts


def _is_folder(place: Path) -> bool:
    try:
        return place.is_dir()
    except ValueError:  # a name that no file can have
        return False


def with_facts(contents: Contents, facts: Mapping[str, Any]) -> Contents:
    """What a file holds, with more facts."""
    return replace(contents, facts={**facts, **contents.facts}) if facts else contents
