"""The machine that a pickle runs on: a stack, a memo, and limits to what it may create.

Opcodes, objects, marks and the memo are limited, so that reading takes at most some seconds and
some 300 megabytes. Objects may be nested as deep as the opcodes go, so no code in this room walks
through them recursively, except along the keys under which state dicts lie.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from weightspace.checkpoints.messages import Refusal, damaged, unknown

LIMIT = 2**24  # bytes of pickles; a state dict takes some hundred bytes for each tensor
MOST_MARKS = 1000  # open at a time; Python's own pickler does not nest deeper
_MOST_OPCODES = 3 * 2**20  # some 40 for each tensor
_MOST_OBJECTS = 2**20  # containers; with calls and entries some 12 for each tensor
_NEVER = object()  # an empty entry of the memo
_STOP = ord(".")

Persistent = Callable[[object], object]


class Ends(Refusal):
    """A pickle without an end."""


class Machine:
    """Reads consecutive pickles in `data`; `at` is the start of the next one.

    `acts` has a function for each of the 256 opcodes, or None for those that are refused. The
    limits hold for all pickles together. Raises Refusal.
    """

    def __init__(self, data: bytes, acts: Sequence[Callable[[Machine], object] | None]) -> None:
        self.data = data
        self._acts = acts
        self.at = 0
        self._opcodes = _MOST_OPCODES  # opcodes that are left
        self._objects = _MOST_OBJECTS
        self.foreign: dict[str, int] = {}  # names that became records -> where first named
        self.nested: Persistent | None = None  # reads a torch file within the pickle
        self._clear(None)

    def _clear(self, persistent: Persistent | None) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: list[Any] = []
        self.persistent = persistent

    def load(self, persistent: Persistent | None = None) -> Any:
        """What the next pickle describes; `persistent` finds objects outside of the pickle."""
        self._clear(persistent)
        try:
            return self._run()
        except IndexError:
            if self.at >= len(self.data):
                raise ends() from None
            raise damaged("its pickle uses an entry that does not exist") from None
        except struct.error:
            raise ends() from None
        except (ValueError, TypeError, OverflowError) as error:
            raise damaged(f"its pickle cannot be read, {error}") from None
        finally:
            self._clear(None)

    def _run(self) -> Any:
        data, acts = self.data, self._acts
        for done in range(self._opcodes):
            code = data[self.at]
            self.at += 1
            act = acts[code]
            if act is not None:
                act(self)
            elif code == _STOP:
                self._opcodes -= done
                return self.stack.pop()
            else:
                raise unknown(f"Unsupported operand {code}")
        raise unknown(f"more than {_MOST_OPCODES:,} opcodes")

    def take(self, length: int) -> bytes:
        """The next bytes."""
        end = self.at + length
        if length < 0 or end > len(self.data):  # a length may be negative
            raise ends()
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def spend(self, objects: int = 1) -> None:
        """Count objects before they are made."""
        self._objects -= objects
        if self._objects < 0:
            raise unknown(f"more than {_MOST_OBJECTS:,} containers")

    def marked(self) -> list[Any]:
        """Everything on the stack since the last mark."""
        found, self.stack = self.stack, self.below.pop()
        return found

    def remember(self, index: int) -> None:
        """Put the top of the stack into the memo."""
        missing = index + 1 - len(self.memo)
        if index >= _MOST_OPCODES:
            raise unknown(f"a memo of more than {_MOST_OPCODES:,} entries")
        if missing > 0:
            self.memo.extend([_NEVER] * missing)
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        """Put an entry of the memo on the stack."""
        found = self.memo[index] if index < len(self.memo) else _NEVER
        if found is _NEVER:
            raise damaged("its pickle uses an entry that does not exist")
        self.stack.append(found)


def ends() -> Ends:
    """The refusal of a pickle that is cut short."""
    return Ends(str(damaged("its pickle is cut short")))
