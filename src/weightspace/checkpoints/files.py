"""From a file of unknown origin to named tensors, without executing anything in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from weightspace.checkpoints.headers import FORMAT_LIMIT, safetensors
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.roles import Note
from weightspace.checkpoints.states import check_entries, state_dict, without_prefixes
from weightspace.checkpoints.tensors import Tensor, Values
from weightspace.checkpoints.torchfiles import legacy, zipped
from weightspace.disk import InnerPath, open_file
from weightspace.errors import DataError

_STRANGERS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run git lfs pull"),
    (b"\x89HDF", "an HDF5 file; save the weights as safetensors"),
    (b"GGUF", "a GGUF file of quantised weights; take the safetensors file of the same net"),
    (b"\x93NUMPY", "a NumPy array without names; save the weights as safetensors"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"{", "JSON text, not weights; for an index, give one of the files that it names"),
)
_MOST_VALUES = 4  # values for each byte of the file: tensors may share some values


@dataclass(frozen=True)
class Stored:
    """The content of a file: tensors by name, and whether their order is that of the layers.

    `values` reads them; `beside` has notes of things next to the net's tensors, such as an
    optimizer's state.
    """

    form: str
    tensors: dict[str, Tensor]
    values: Values
    ordered: bool
    beside: tuple[Note, ...] = ()


@contextmanager
def read_file(place: Path | InnerPath) -> Iterator[Stored]:
    """The tensors of a safetensors or torch file; the content decides which it is.

    The file is open within the block, so that only needed values are read. Raises DataError, also
    within the block.
    """
    try:
        with _opened(place) as file:
            yield _stored(file, place.suffix)
    except Refusal as refusal:
        raise DataError(place, refusal) from None
    except FileNotFoundError:
        raise DataError(place, "no such file") from None
    except OSError as error:
        raise DataError(place, f"cannot be read ({error.strerror or error})") from None


def _opened(place: Path | InnerPath) -> BinaryIO:
    """The open file, of any size: only pickles and headers, which are limited, are read whole."""
    if isinstance(place, InnerPath):
        return open_file(place, within=True)
    if place.is_dir():
        raise Refusal("a folder; name the checkpoint file in it")
    if place.exists() and not place.is_file():
        raise Refusal("no regular file; copy what it gives into one")
    return open_file(place)


def _stored(file: BinaryIO, suffix: str) -> Stored:
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise Refusal("empty; copy or download the file again")
    head = file.read(512)
    if _form(head, suffix) == "safetensors":
        tensors, values = safetensors(file)
        check_entries(tensors)
        beside = tuple(
            Note(name, tensor.shape, tensor.kind, "of a dtype that torch does not have")
            for name, tensor in tensors.items()
            if tensor.kind
        )
        named = {name: tensor for name, tensor in tensors.items() if not tensor.kind}
        return Stored("safetensors", without_prefixes(named), values, ordered=False, beside=beside)
    content, values = zipped(file) if head[:2] == b"PK" else legacy(file)
    named, beside = state_dict(content)
    claimed = sum(tensor.size for tensor in named.values())
    if claimed > _MOST_VALUES * size:
        raise Refusal(
            f"claims {claimed:,} values in {size:,} bytes; fetch it again from its source"
        )
    return Stored("torch", without_prefixes(named), values, ordered=True, beside=beside)


def _form(head: bytes, suffix: str) -> str:
    """The format that the first bytes show; Refusal says what the file is otherwise."""
    if head[:4] == b"PK\x03\x04":
        return "torch"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "torch"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= FORMAT_LIMIT:
        return "safetensors"
    for magic, what in _STRANGERS:
        if head.lstrip().startswith(magic):
            raise Refusal(what)
    if _is_page(head):
        raise Refusal("a web page, not a checkpoint; download the file itself")
    if suffix == ".safetensors":
        return "safetensors"  # damaged; the check of the header says how
    raise Refusal(
        f"neither a safetensors nor a torch file (it starts with {head[:8]!r}); "
        "save the weights as safetensors"
    )


def _is_page(head: bytes) -> bool:
    """Whether the first bytes are HTML or XML, possibly after comments."""
    rest = head.lstrip()
    while rest.startswith(b"<!--"):
        rest = rest[4:].partition(b"-->")[2].lstrip()
    return rest[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml"))
