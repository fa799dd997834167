"""The opcodes of numbers, text and bytes, of all protocols."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable

from weightspace.checkpoints.messages import damaged, unknown
from weightspace.checkpoints.pickling.machine import Machine, ends
from weightspace.checkpoints.pickling.records import OldText

_LONGEST_NUMBER = 1000  # digits or bytes


def _number(form: str) -> Callable[[Machine], None]:
    shape = struct.Struct(form)

    def act(m: Machine) -> None:
        m.stack.append(shape.unpack_from(m.data, m.at)[0])
        m.at += shape.size

    return act


def _constant(value: object) -> Callable[[Machine], None]:
    return lambda m: m.stack.append(value)


def _long(m: Machine) -> None:
    m.stack.append(int.from_bytes(m.take(m.take(1)[0]), "little", signed=True))


def _length(form: str) -> Callable[[Machine], bytes]:
    shape = struct.Struct(form)

    def read(m: Machine) -> bytes:
        (length,) = shape.unpack_from(m.data, m.at)
        m.at += shape.size
        return m.take(length)

    return read


def _text(form: str) -> Callable[[Machine], None]:
    read = _length(form)
    return lambda m: m.stack.append(read(m).decode("utf-8", "surrogatepass"))


def _bytes(form: str, kind: Callable[[bytes], object] = bytes) -> Callable[[Machine], None]:
    read = _length(form)
    return lambda m: m.stack.append(kind(read(m)))


def _python2_text(form: str) -> Callable[[Machine], None]:
    read = _length(form)
    return lambda m: m.stack.append(OldText.of(read(m)))


def _integer_line(m: Machine) -> None:
    text = line(m)
    if len(text) > _LONGEST_NUMBER:
        raise unknown("a number of thousands of digits")
    booleans = {"00": False, "01": True}
    m.stack.append(booleans[text] if text in booleans else int(text.rstrip("L")))


def _float_line(m: Machine) -> None:
    m.stack.append(float(line(m)[:_LONGEST_NUMBER]))


def _string_line(m: Machine) -> None:
    text = _raw_line(m)
    if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
        raise damaged("a text without quotes")
    m.stack.append(OldText.of(codecs.escape_decode(text[1:-1])[0]))


def _unicode_line(m: Machine) -> None:
    m.stack.append(_raw_line(m).decode("raw_unicode_escape"))


def _long4(m: Machine) -> None:
    length = int.from_bytes(m.take(4), "little", signed=True)
    if length > _LONGEST_NUMBER:
        raise unknown("a number of thousands of digits")
    m.stack.append(int.from_bytes(m.take(length), "little", signed=True))


def line(m: Machine) -> str:
    """The text up to the end of the line."""
    return _raw_line(m).decode("utf-8")


def _raw_line(m: Machine) -> bytes:
    end = m.data.find(b"\n", m.at)
    if end < 0:
        raise ends()
    line = m.take(end - m.at)
    m.at += 1
    return line


SCALARS: dict[bytes, Callable[[Machine], object]] = {
    b"N": _constant(None),
    b"\x88": _constant(True),
    b"\x89": _constant(False),
    b"K": _number("<B"),
    b"M": _number("<H"),
    b"J": _number("<i"),
    b"G": _number(">d"),
    b"\x8a": _long,
    b"\x8c": _text("<B"),
    b"X": _text("<I"),
    b"\x8d": _text("<Q"),
    b"U": _python2_text("<B"),
    b"T": _python2_text("<i"),
    b"C": _bytes("<B"),
    b"B": _bytes("<I"),
    b"\x8e": _bytes("<Q"),
    b"\x96": _bytes("<Q", bytearray),
    b")": _constant(()),
    b"I": _integer_line,
    b"L": _integer_line,
    b"F": _float_line,
    b"S": _string_line,
    b"V": _unicode_line,
    b"\x8b": _long4,
}
