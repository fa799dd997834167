"""Opcodes of pickles, read as data: they make containers, scalars, tensors and inert records.

Nothing that a pickle names is imported or called; `names.meaning` says what a name becomes.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from weightspace.checkpoints.messages import damaged, unknown
from weightspace.checkpoints.pickling.arrays import NumpyType
from weightspace.checkpoints.pickling.keys import fit
from weightspace.checkpoints.pickling.machine import MOST_MARKS, Machine
from weightspace.checkpoints.pickling.names import Name, fill, meaning
from weightspace.checkpoints.pickling.records import Foreign, Ordered, Record
from weightspace.checkpoints.pickling.scalars import SCALARS, line
from weightspace.checkpoints.tensors import Tensor

_CALL, _ENTRY = (
    3,
    2,
)  # containers that a call and a dict entry count as
_NESTED = "torch.storage._load_from_bytes"
_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # their names in Python 2


def pickles(data: bytes) -> Machine:
    """A reader of the consecutive pickles in `data`."""
    return Machine(data, _ACTS)


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


def _list(m: Machine) -> list[Any]:
    target = _target(m, list, Record)
    return target.members if isinstance(target, Record) else target


def _dict(m: Machine) -> dict[Any, Any]:
    target = _target(m, dict, Ordered, Counter, Record)
    return target.entries if isinstance(target, Record) else target


def _append(m: Machine) -> None:
    entry = m.stack.pop()
    _list(m).append(entry)


def _appends(m: Machine) -> None:
    entries = m.marked()
    _list(m).extend(entries)


def _new_list(m: Machine) -> None:
    m.spend()
    made = m.marked()
    m.stack.append(made)


def _new_dict(m: Machine) -> None:
    pairs = m.marked()
    m.stack.append({})
    _fill_dict(m, pairs)


def _add_items(m: Machine) -> None:
    members = m.marked()
    m.spend(len(members))
    target = _target(m, set, Record)
    if isinstance(target, Record):
        target.members.extend(members)
    else:
        target.update(map(fit, members))


def _set_item(m: Machine) -> None:
    m.spend(_ENTRY)
    value = m.stack.pop()
    key = m.stack.pop()
    _dict(m)[fit(key)] = value


def _set_items(m: Machine) -> None:
    _fill_dict(m, m.marked())


def _fill_dict(m: Machine, pairs: list[Any]) -> None:
    if len(pairs) % 2:
        raise damaged("a key without a value")
    m.spend(_ENTRY * len(pairs) // 2)
    target = _dict(m)
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
    module = line(m)
    m.stack.append(_named(m, module, line(m)))


def _named(m: Machine, module: str, name: str) -> object:
    found = meaning(f"{_MODULES.get(module, module)}.{name}")
    if isinstance(found, Foreign) and found.name not in m.foreign:
        m.spend()
        m.foreign[found.name] = m.at
    return found


def _stack_global(m: Machine) -> None:
    name = m.stack.pop()
    module = m.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise damaged("a name that is not text")
    m.stack.append(_named(m, module, name))


def _reduce(m: Machine) -> None:
    arguments = m.stack.pop()
    name = m.stack.pop()
    m.stack.append(_called(m, name, arguments))


def _called(m: Machine, name: object, arguments: object) -> object:
    """What a call would have made; a call of a name that is not known is kept as a record."""
    if not isinstance(name, Name | Foreign | Record):
        raise unknown(f"a call of a {type(name).__name__}")
    if type(arguments) is not tuple:
        raise damaged(f"{name.name} called without arguments")
    m.spend(_CALL)
    if isinstance(name, Foreign) and name.name == _NESTED and m.nested is not None:
        return m.nested(arguments)
    if not isinstance(name, Name):
        return Record(name.name if isinstance(name, Foreign) else f"{name.name[:200]}()", arguments)
    if name.copies:
        m.spend(sum(map(_weight, arguments)))
    try:
        return name.call(*arguments)
    except TypeError:
        raise damaged(f"{name.name} is called in a way that torch never uses") from None


def _new_with_keywords(m: Machine) -> None:
    keywords = m.stack.pop()
    arguments = m.stack.pop()
    kind = m.stack.pop()
    if type(keywords) is not dict or type(arguments) is not tuple:
        raise damaged("an object made without arguments")
    made = _called(m, kind, arguments)
    if keywords and isinstance(made, Record):
        m.spend(len(keywords))
        made.entries.update(keywords)
    m.stack.append(made)


def _instance(m: Machine) -> None:
    module = line(m)
    name = _named(m, module, line(m))
    arguments = tuple(m.marked())
    m.stack.append(_called(m, name, arguments))


def _object(m: Machine) -> None:
    kind, *arguments = m.marked()
    m.stack.append(_called(m, kind, tuple(arguments)))


def _weight(argument: object) -> int:
    """The cost of a copy in containers: a small container takes as much memory as some text."""
    if isinstance(argument, str | bytes | bytearray):
        return len(argument) // 64
    return len(argument) if isinstance(argument, list | tuple | dict | set) else 0


def _build(m: Machine) -> None:
    state = m.stack.pop()
    target = m.stack[-1]
    if isinstance(target, Tensor):
        if type(state) is not tuple and target.storage is not None:
            return  # attributes of a parameter
        filled = fill(target, state)
        for item in fields(Tensor):
            setattr(target, item.name, getattr(filled, item.name))
    elif isinstance(target, NumpyType):
        target.build(state)
    elif isinstance(target, Record):
        target.state = state
    elif type(target) is Ordered and isinstance(state, dict):
        target.attributes = state  # such as the versions of a net's modules
    elif type(target) is not Counter or not isinstance(state, dict):
        raise unknown(f"a state for a {type(target).__name__}")


def _persistent(m: Machine) -> None:
    if m.persistent is None:
        raise damaged("it refers to something outside of its pickle")
    key = m.stack.pop()
    m.stack.append(m.persistent(key))


def _put_line(m: Machine) -> None:
    m.remember(_index(m))


def _get_line(m: Machine) -> None:
    m.recall(_index(m))


def _index(m: Machine) -> int:
    text = line(m)
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise damaged("an entry of the memo that is not a number")
    return int(text)


def _duplicate(m: Machine) -> None:
    m.stack.append(m.stack[-1])


_KNOWN: dict[bytes, Callable[[Machine], object]] = SCALARS | {
    b"\x80": _skip(1),  # PROTO
    b"\x95": _skip(8),  # FRAME
    b"]": _empty(list),
    b"}": _empty(dict),
    b"\x8f": _empty(set),
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
    b"\x92": _new_with_keywords,
    b"i": _instance,
    b"o": _object,
    b"b": _build,
    b"Q": _persistent,
    b"p": _put_line,
    b"g": _get_line,
    b"2": _duplicate,
    b"l": _new_list,
    b"d": _new_dict,
}
_ACTS = [_KNOWN.get(bytes([code])) for code in range(256)]
