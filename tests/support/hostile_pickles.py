"""Pickles put together opcode by opcode, torch files around them, and bounds for reading them."""

from __future__ import annotations

import io
import resource
import signal
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROTOCOL, NONE, TRUE, FALSE = b"\x80\x02", b"N", b"\x88", b"\x89"


def name(module: str, word: str) -> bytes:
    """A global."""
    return b"c" + module.encode() + b"\n" + word.encode() + b"\n"


def text(string: str) -> bytes:
    data = string.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def number(n: int) -> bytes:
    if 0 <= n < 256:
        return b"K" + bytes([n])
    if abs(n) < 2**31:
        return b"J" + struct.pack("<i", n)
    data = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def tuple_of(*entries: bytes) -> bytes:
    return b"(" + b"".join(entries) + b"t"


def dict_of(*pairs: tuple[bytes, bytes]) -> bytes:
    return b"}(" + b"".join(key + value for key, value in pairs) + b"u"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + b"R"


def put(index: int) -> bytes:
    return b"r" + struct.pack("<I", index)


def get(index: int) -> bytes:
    return b"j" + struct.pack("<I", index)


ORDERED = name("collections", "OrderedDict") + b")R"
UTILS = "torch._utils"


def storage(count: int = 4, *more: bytes, key: str = "0") -> bytes:
    kind = name("torch", "FloatStorage")
    said = (text("storage"), kind, text(key), text("cpu"), number(count), *more)
    return tuple_of(*said) + b"Q"


def tensor(
    stored: bytes, size: tuple[int, ...], stride: tuple[int, ...], *more: bytes, offset: int = 0
) -> bytes:
    sides, steps = (tuple_of(*map(number, numbers)) for numbers in (size, stride))
    rebuild = name(UTILS, "_rebuild_tensor_v2")
    return call(rebuild, stored, number(offset), sides, steps, FALSE, ORDERED, *more)


WEIGHT = tensor(storage(), (2, 2), (2, 1))


def zipped(content: bytes, *more: tuple[str, bytes]) -> bytes:
    """A torch file of today, with one storage of four float32 and any `more` members."""
    buffer = io.BytesIO()
    members = (
        ("data.pkl", PROTOCOL + content + b"."),
        ("byteorder", b"little"),
        ("data/0", struct.pack("<4f", 1, 2, 3, 4)),
        ("version", b"3\n"),
        *more,
    )
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, data in members:
            archive.writestr(f"a/{member}", data)
    return buffer.getvalue()


def legacy(content: bytes, *keys: str) -> bytes:
    """An older torch file, up to the keys of its storages."""
    pickles = (
        number(0x1950A86A20F9469CFC6C),
        number(1001),
        b"}",
        content,
        b"](" + b"".join(map(text, keys)) + b"e",
    )
    return b"".join(PROTOCOL + each + b"." for each in pickles)


def with_weight(value: bytes) -> bytes:
    """A state dict of one good weight, and the value beside it."""
    return zipped(dict_of((text("fc.weight"), WEIGHT), (text("x"), value)))


@contextmanager
def bounded(seconds: float = 6, memory: int = 2**29) -> Iterator[None]:
    """Fail where something takes more processor time, or more memory on top of what is taken.

    All of it takes below two seconds on a machine that has nothing else to do.
    """

    def late(*_: object) -> None:
        raise AssertionError(f"not done within {seconds} s")

    before = signal.signal(signal.SIGPROF, late)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory, limits[1]))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGPROF, before)
