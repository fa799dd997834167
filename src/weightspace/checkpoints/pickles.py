"""Opcodes of pickles, read as data: they make containers, scalars and descriptions of tensors.

Nothing that a pickle names is imported or called; `names.meaning` says what a name becomes.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from weightspace.checkpoints.keys import fit
from weightspace.checkpoints.machine import MOST_MARKS, Machine, ends
from weightspace.checkpoints.messages import damaged, unknown
from weightspace.checkpoints.names import Name, fill, meaning
from weightspace.checkpoints.tensors import Tensor

_CALL, _ENTRY = (
    3,
    2,
)  # containers that a call and a dict entry count as
_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # their names in Python 2


def pickles(data: bytes) -> Machine:
    """A reader of the consecutive pickles in `data`."""
    return Machine(data, _ACTS)


# ---- numbers, text and bytes


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
    return lambda m: m.stack.append(read(m).decode("utf-8"))


# ---- containers


def _empty(kind: Callable[[], object]) -> Callable[[Machine], None]:
    def act(m: Machine) -> None:
        m.spend()
        m.stack.append(kind())

    return act


def _tuple1(m: Machine) -> None:
    m.spend()
    m.stack[-1] = (m.stack[-1],)


def _tuple2(m: Machine) -> None:
    m.spend()
    last = m.stack.pop()
    m.stack[-1] = (m.stack[-1], last)


def _tuple3(m: Machine) -> None:
    m.spend()
    last = m.stack.pop()
    middle = m.stack.pop()
    m.stack[-1] = (m.stack[-1], middle, last)


def _tuple(m: Machine) -> None:
    m.spend()
    found = tuple(m.marked())
    m.stack.append(found)


def _frozen(m: Machine) -> None:
    members = m.marked()
    m.spend(1 + len(members))
    m.stack.append(frozenset(map(fit, members)))


def _target(m: Machine, *kinds: type) -> Any:
    target = m.stack[-1]
    if type(target) not in kinds:
        raise unknown(f"entries put into a {type(target).__name__}")
    return target


def _append(m: Machine) -> None:
    entry = m.stack.pop()
    _target(m, list).append(entry)


def _appends(m: Machine) -> None:
    entries = m.marked()
    _target(m, list).extend(entries)


def _add_items(m: Machine) -> None:
    members = m.marked()
    m.spend(len(members))
    _target(m, set).update(map(fit, members))


def _set_item(m: Machine) -> None:
    m.spend(_ENTRY)
    value = m.stack.pop()
    key = m.stack.pop()
    _target(m, dict, OrderedDict, Counter)[fit(key)] = value


def _set_items(m: Machine) -> None:
    pairs = m.marked()
    if len(pairs) % 2:
        raise damaged("a key without a value")
    m.spend(_ENTRY * len(pairs) // 2)
    target = _target(m, dict, OrderedDict, Counter)
    for i in range(0, len(pairs), 2):
        target[fit(pairs[i])] = pairs[i + 1]


# ---- stack, memo


def _mark(m: Machine) -> None:
    if len(m.below) >= MOST_MARKS:
        raise unknown(f"more than {MOST_MARKS:,} marks within each other")
    m.below.append(m.stack)
    m.stack = []


def _pop(m: Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.marked()


def _put(form: str) -> Callable[[Machine], None]:
    shape = struct.Struct(form)

    def act(m: Machine) -> None:
        (index,) = shape.unpack_from(m.data, m.at)
        m.at += shape.size
        memo = m.memo
        if index == len(memo):  # every pickler numbers them so
            memo.append(m.stack[-1])
        else:
            m.remember(index)

    return act


def _get(form: str) -> Callable[[Machine], None]:
    shape = struct.Struct(form)

    def act(m: Machine) -> None:
        (index,) = shape.unpack_from(m.data, m.at)
        m.at += shape.size
        m.recall(index)

    return act


def _memoize(m: Machine) -> None:
    m.remember(len(m.memo))


def _skip(length: int) -> Callable[[Machine], object]:
    return lambda m: m.take(length)


# ---- names, calls, and objects outside of the pickle


def _global(m: Machine) -> None:
    module = _line(m)
    m.stack.append(meaning(f"{_MODULES.get(module, module)}.{_line(m)}"))


def _line(m: Machine) -> str:
    end = m.data.find(b"\n", m.at)
    if end < 0:
        raise ends()
    line = m.take(end - m.at).decode("utf-8")
    m.at += 1
    return line


def _stack_global(m: Machine) -> None:
    name = m.stack.pop()
    module = m.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise damaged("a name that is not text")
    m.stack.append(meaning(f"{_MODULES.get(module, module)}.{name}"))


def _reduce(m: Machine) -> None:
    arguments = m.stack.pop()
    name = m.stack.pop()
    if not isinstance(name, Name):
        raise unknown(f"a call of a {type(name).__name__}")
    if type(arguments) is not tuple:
        raise damaged(f"{name.name} called without arguments")
    m.spend(_CALL)
    if name.copies:
        m.spend(sum(map(_weight, arguments)))
    try:
        m.stack.append(name.call(*arguments))
    except TypeError:
        raise damaged(f"{name.name} is called in a way that torch never uses") from None


def _weight(argument: object) -> int:
    """The cost of a copy in containers: a small container takes as much memory as some text."""
    if isinstance(argument, str | bytes | bytearray):
        return len(argument) // 64
    return len(argument) if isinstance(argument, list | tuple | dict | set) else 0


def _build(m: Machine) -> None:
    state = m.stack.pop()
    target = m.stack[-1]
    if isinstance(target, Tensor):
        filled = fill(target, state)
        for item in fields(Tensor):
            setattr(target, item.name, getattr(filled, item.name))
    elif type(target) not in (OrderedDict, Counter) or type(state) not in (dict, OrderedDict):
        raise unknown(f"a state for a {type(target).__name__}")
    # The state of an OrderedDict are attributes, such as the versions of a net's modules.


def _persistent(m: Machine) -> None:
    if m.persistent is None:
        raise damaged("it refers to something outside of its pickle")
    key = m.stack.pop()
    m.stack.append(m.persistent(key))


_KNOWN: dict[bytes, Callable[[Machine], object]] = {
    b"\x80": _skip(1),  # PROTO
    b"\x95": _skip(8),  # FRAME
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
    b"]": _empty(list),
    b"}": _empty(dict),
    b"\x8f": _empty(set),
    b")": _constant(()),
    b"\x85": _tuple1,
    b"\x86": _tuple2,
    b"\x87": _tuple3,
    b"t": _tuple,
    b"\x91": _frozen,
    b"a": _append,
    b"e": _appends,
    b"\x90": _add_items,
    b"s": _set_item,
    b"u": _set_items,
    b"(": _mark,
    b"0": _pop,
    b"1": Machine.marked,
    b"q": _put("<B"),
    b"r": _put("<I"),
    b"h": _get("<B"),
    b"j": _get("<I"),
    b"\x94": _memoize,
    b"c": _global,
    b"\x93": _stack_global,
    b"R": _reduce,
    b"\x81": _reduce,  # NEWOBJ: for the known classes the same as a call
    b"b": _build,
    b"Q": _persistent,
}
_ACTS = [_KNOWN.get(bytes([code])) for code in range(256)]
