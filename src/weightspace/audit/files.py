"""From a file of unknown origin to named tensors, without executing anything in it."""

from __future__ import annotations

import json
import math
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from weightspace.audit.messages import one_line
from weightspace.audit.pickles import LIMIT, refusal
from weightspace.audit.roles import Note
from weightspace.errors import DataError
from weightspace.printable import printable

_NESTED = ("state_dict", "model_state_dict", "model", "module")
_DEEPEST = 8  # state dicts within each other; a dict may hold itself
_HEADER_LIMIT = 100_000_000  # bytes, the limit of the format itself
_MOST_DIMENSIONS, _LONGEST = 32, 2**48  # of one tensor
_STRANGERS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run git lfs pull"),
    (b"\x89HDF", "an HDF5 file; save the weights as safetensors"),
    (b"GGUF", "a GGUF file of quantised weights; take the safetensors file of the same net"),
    (b"\x93NUMPY", "a NumPy array without names; save the weights as safetensors"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"{", "JSON text, no weights; of an index, give one of the files that it names"),
)


@dataclass(frozen=True)
class Stored:
    """What a file holds: tensors by name, and whether their order is the order of the layers.

    `beside` notes what stands next to the tensors of the net, such as an optimizer's state.
    """

    form: str
    tensors: dict[str, torch.Tensor]
    ordered: bool
    beside: tuple[Note, ...] = ()


def read_file(path: Path) -> Stored:
    """The tensors of a safetensors or torch file on the CPU; the content decides which it is."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise DataError(f"{path}: a folder; name the checkpoint file in it")
        if not path.is_file():
            raise DataError(f"{path}: no regular file; copy what it gives into one")
        if not size:
            raise DataError(f"{path}: empty; copy or download the file again")
        with path.open("rb") as file:
            head = file.read(512)
        form = _form(path, head)
        stored = _safetensors(path, size) if form == "safetensors" else _torch(path, head, size)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    return Stored(stored.form, _without_prefixes(stored.tensors), stored.ordered, stored.beside)


def _form(path: Path, head: bytes) -> str:
    """Which of the two forms the first bytes show; DataError names what else it is."""
    if head[:4] == b"PK\x03\x04":
        return "torch"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "torch"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _HEADER_LIMIT:
        return "safetensors"
    for magic, what in _STRANGERS:
        if head.lstrip().startswith(magic):
            raise DataError(f"{path}: {what}")
    if _is_page(head):
        raise DataError(f"{path}: a web page, not a checkpoint; download the file itself")
    if path.suffix == ".safetensors":
        return "safetensors"  # damaged, and the header check says in which way
    raise DataError(
        f"{path}: neither a safetensors nor a torch file (it starts with {head[:8]!r}); "
        "save the weights as safetensors"
    )


def _is_page(head: bytes) -> bool:
    """Whether the first bytes are HTML or XML, perhaps after comments."""
    rest = head.lstrip()
    while rest.startswith(b"<!--"):
        rest = rest[4:].partition(b"-->")[2].lstrip()
    return rest[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml"))


def _safetensors(path: Path, size: int) -> Stored:
    _check_header(path, size)
    try:
        return Stored("safetensors", safetensors.torch.load_file(path), ordered=False)
    except OSError:
        raise
    except Exception as error:  # the library's own kinds, and torch's for unknown types
        raise DataError(f"{path}: damaged ({one_line(error)}); fetch it again") from None


def _check_header(path: Path, size: int) -> None:
    """Refuse a header that promises more than the file holds, naming the tensor.

    The library checks as much again; this is for the words, and so that no size that a file merely
    claims is ever allocated.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _HEADER_LIMIT):
            raise DataError(
                f"{path}: cut short; its header takes {length:,} bytes, "
                f"the file has {size:,}; fetch it again"
            )
        raw = file.read(length)
    try:
        header = json.loads(raw)
        rows = {k: v for k, v in header.items() if k != "__metadata__"}
        ends = {k: int(v["data_offsets"][1]) for k, v in rows.items()}
        counts = {k: _count(v["shape"]) for k, v in rows.items()}
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as e:
        raise DataError(
            f"{path}: damaged; no safetensors header ({one_line(e)}); fetch it again"
        ) from None
    held = size - 8 - length
    for name, end in ends.items():
        if end > held or counts[name] > max(held, 0) * 8:
            values, last = (f"{min(n, 10**18):,}" for n in (counts[name], end))
            raise DataError(
                f"{path}: cut short; {printable(name)} has {values} values up to byte {last}, "
                f"the file holds {held:,} bytes of values; fetch it again"
            )


def _count(shape: Any) -> int:
    """Values of a tensor of this shape, which is looked at before anything is multiplied."""
    if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"a shape is no list of at most {_MOST_DIMENSIONS} numbers")
    if not all(type(side) is int and 0 <= side <= _LONGEST for side in shape):
        raise ValueError(f"a shape holds more than whole numbers from 0 to {_LONGEST:,}")
    return math.prod(shape)


def _torch(path: Path, head: bytes, size: int) -> Stored:
    zipped = head[:2] == b"PK"
    if zipped:
        _check_zip(path, size)
    try:
        content = _load(path, mapped=zipped and path.suffix != ".safetensors")
    except OSError:
        raise
    except Exception as error:  # whatever a hostile pickle provokes in the reader
        raise refusal(path, error) from None
    tensors, beside = _state_dict(path, content)
    claimed = sum(tensor.numel() for tensor in tensors.values())
    if claimed > 4 * size:  # a stride of 0 makes any number of values out of one
        raise DataError(
            f"{path}: claims {claimed:,} values in {size:,} bytes; fetch it again from its source"
        )
    return Stored("torch", tensors, ordered=True, beside=beside)


def _load(path: Path, *, mapped: bool) -> Any:
    """What the reader of weights makes of a file; its warnings would repeat what we say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if mapped:
            # A memory map also keeps sizes that the file merely claims from being allocated.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        # From an open file, since torch would believe a name that ends in .safetensors.
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)


def _check_zip(path: Path, size: int) -> None:
    """Refuse an archive that is no torch file or would grow when unpacked; nothing is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            members, comment = archive.infolist(), archive.comment
    except OSError:
        raise
    except Exception:  # a damaged directory of the archive fails in many ways
        raise DataError(f"{path}: a zip archive that is cut short; fetch it again") from None
    names = [member.filename for member in members]
    if any(name.endswith("/constants.pkl") for name in names):
        raise DataError(
            f"{path}: refused; a TorchScript archive holds code; save the state dict as safetensors"
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise DataError(
            f"{path}: a zip archive, but no torch file; save the weights as safetensors"
        )
    again = "torch.save never writes such a file; fetch it again from its source"
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise DataError(f"{path}: refused; {printable(member.filename)} is compressed; {again}")
        if member.filename.endswith("data.pkl") and member.file_size > LIMIT:
            raise DataError(
                f"{path}: refused; {printable(member.filename)} has {member.file_size:,} bytes, "
                f"{LIMIT:,} are the most that is read; save model.state_dict() alone"
            )
    claimed = sum(member.file_size for member in members)
    if claimed > size:  # members that overlap
        raise DataError(
            f"{path}: refused; its members claim {claimed:,} bytes of {size:,}; {again}"
        )
    # What stands before or after the archive could make torch find other members than these.
    if comment or min(member.header_offset for member in members):
        raise DataError(f"{path}: refused; more than an archive stands in it; {again}")


def _state_dict(path: Path, content: Any) -> tuple[dict[str, torch.Tensor], tuple[Note, ...]]:
    """The tensors of the state dict, wherever it lies, and notes of what stands beside it."""
    if not isinstance(content, Mapping):
        raise DataError(
            f"{path}: holds a {type(content).__name__}, no state dict; save model.state_dict()"
        )
    beside: list[Note] = []
    depth = 0
    while key := next((k for k in _NESTED if isinstance(content.get(k), Mapping)), None):
        depth += 1
        if depth > _DEEPEST:
            raise DataError(
                f"{path}: state dicts lie more than {_DEEPEST} deep within each other; "
                "save model.state_dict()"
            )
        reason = f"stands beside the state dict under {key!r}"
        beside += [_note(name, value, reason) for name, value in content.items() if name != key]
        content = content[key]
    if not any(isinstance(value, torch.Tensor) for value in content.values()):
        keys = ", ".join(printable(name, 60) for name in list(content)[:5]) or "nothing"
        raise DataError(
            f"{path}: no state dict in it, nor under {', '.join(_NESTED)}; "
            f"found {keys}; save model.state_dict()"
        )
    tensors: dict[str, torch.Tensor] = {}
    for name, value in content.items():
        if not isinstance(value, torch.Tensor):
            beside.append(_note(name, value, "no tensor"))
        elif value.layout != torch.strided or value.is_quantized or value.is_meta:
            beside.append(_note(name, value, "a sparse, quantised or empty kind of tensor"))
        else:
            tensors[str(name)] = value
    return tensors, tuple(beside)


def _note(name: Any, value: Any, reason: str) -> Note:
    if isinstance(value, torch.Tensor):
        return Note(str(name), tuple(value.shape), str(value.dtype).removeprefix("torch."), reason)
    return Note(str(name), (), type(value).__name__, reason)


def _without_prefixes(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names as the net has them, without what wrappers for training put before them."""
    short = {
        re.sub(r"^(module\.)+", "", name.replace("_orig_mod.", "")): tensor
        for name, tensor in tensors.items()
    }
    return short if len(short) == len(tensors) else tensors
