"""Numbers of a file in place of others, and its pieces in another order: parts of `damage`."""

from __future__ import annotations

import random

from support.hostile_files import Change

Random = random.Random
Number = tuple[int, int, str]  # where it is, its bytes, "little" or "big"


def strange(old: int, width: int, most: int, draw: Random) -> int:
    """A number in place of another, of so many bytes."""
    top = 1 << 8 * width
    some = (0, 1, top - 1, top >> 1, (top >> 1) - 1, old + 1, old - 1, 2 * old, old // 2, old + 8,
            old + 4, old - 8, old << 8, old ^ 1 << draw.randrange(8 * width), most, most - 1,
            most - old, 2**31, 2**32 - 1, 2**32, 2**48, 2**62, 2**16)  # fmt: skip
    return draw.choice(some) % top


def with_number(data: bytes, found: list[Number], draw: Random) -> bytes:
    found = [one for one in found if one[0] + one[1] <= len(data)]
    if not found:
        return Change("extreme", draw.random(), draw.randrange(99)).of(data)
    at, width, order = draw.choice(found)
    old = int.from_bytes(data[at : at + width], order)  # type: ignore[arg-type]
    if draw.random() < 0.2:  # another one of the file
        other, _, _ = draw.choice(found)
        new = int.from_bytes(data[other : other + width], order)  # type: ignore[arg-type]
    else:
        new = strange(old, width, len(data), draw)
    return data[:at] + new.to_bytes(width, order) + data[at + width :]  # type: ignore[arg-type]


def rearranged(pieces: list[bytes], draw: Random) -> list[bytes]:
    """Pieces left out, said twice, exchanged, or taken for others."""
    pieces = list(pieces)
    for _ in range(draw.randint(1, 4)):
        if not pieces:
            break
        a, b = draw.randrange(len(pieces)), draw.randrange(len(pieces))
        kind = draw.choice(("lose", "repeat", "swap", "copy", "move"))
        if kind == "lose":
            del pieces[a]
        elif kind == "repeat":
            pieces.insert(a, pieces[a])
        elif kind == "swap":
            pieces[a], pieces[b] = pieces[b], pieces[a]
        elif kind == "copy":
            pieces[a] = pieces[b]
        else:
            pieces[a:a] = pieces[b : b + draw.randint(1, 40)]
    return pieces
