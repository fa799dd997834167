"""A net written out layer by layer, as one line of text: an architecture without a name.

    conv 5x5 to 6 pad 2 > activation > max pool 2 > flatten > dense 10

A residual block is `(body) + (shortcut)`. `str(plan)` and `inspect` write plans in these words, so
that a recipe takes them as its architecture.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from weightspace.errors import UsageError
from weightspace.networks.grammar import (
    Activation,
    AdaptivePool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Norm,
    Pool,
    Residual,
)
from weightspace.printable import printable

Layers = tuple[Layer, ...]

_ARROW = " > "
_DEEPEST = 8  # blocks within blocks
_MOST = 2_000  # layers
_NUMBER = r"([1-9]\d{0,4}|0)"


def is_chain(architecture: str) -> bool:
    """Whether the architecture of a recipe is written out, and is not a name."""
    text = architecture.strip()
    return ">" in text or text.startswith("(") or any(word.fullmatch(text) for word, _ in _WORDS)


def chain(text: str) -> Layers:
    """The layers that a text writes out.

    Parameters
    ----------
    text : str
        Layers with " > " between them.

    Returns
    -------
    tuple of Layer

    Raises
    ------
    UsageError
        If a layer is not understood; the message has its words.

    Examples
    --------
    >>> chain("flatten > dense 128 > activation > dropout > dense 10")[1]
    Dense(width=128, bias=True)
    """
    layers = _layers(" ".join(text.split()), 0)
    if len(layers) > _MOST:
        raise UsageError("architecture", f"has more than {_MOST:,} layers")
    return layers


def written(layers: Layers) -> str:
    """The text of which `chain` makes these layers."""
    return _ARROW.join(map(_word, layers))


def _layers(text: str, depth: int) -> Layers:
    return tuple(_layer(part, depth) for part in _parts(text, ">")) if text else ()


def _layer(text: str, depth: int) -> Layer:
    if text.startswith("("):
        return _block(text, depth + 1)
    for pattern, make in _WORDS:
        if found := pattern.fullmatch(text):
            return make(found)
    raise UsageError(
        "architecture",
        f"{printable(text, 80)!r} is no layer",
        "write layers as in `conv 3x3 to 16 pad 1 > batch norm > activation > max pool 2 > "
        "flatten > dense 10`",
    )


def _block(text: str, depth: int) -> Residual:
    sides = _parts(text, "+")
    if len(sides) != 2 or depth > _DEEPEST or not all(_enclosed(side) for side in sides):
        raise UsageError(
            "architecture",
            f"{printable(text, 80)!r} is no residual block",
            "write it as `(body) + (shortcut)`, with `()` for a shortcut without layers",
        )
    body, shortcut = (_layers(side[1:-1].strip(), depth) for side in sides)
    return Residual(body, shortcut)


def _enclosed(text: str) -> bool:
    return text.startswith("(") and text.endswith(")")


def _parts(text: str, mark: str) -> list[str]:
    """The parts of a text between marks that stand outside of all brackets."""
    found, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == mark and depth == 0:
            found.append(text[start:place].strip())
            start = place + 1
    return [*found, text[start:].strip()]


def _conv(found: re.Match[str]) -> Conv:
    text = found[0]
    rows, columns, width = (int(found[i]) for i in (1, 2, 3))
    if rows != columns:
        raise UsageError("architecture", f"{text!r} has a kernel that is not square")
    stride, padding, groups = (
        int(one[1]) if (one := re.search(rf" {word} (\d+)", text)) else usual
        for word, usual in (("stride", 1), ("pad", 0), ("groups", 1))
    )
    return Conv(width, rows, stride, padding, groups, "no bias" not in text)


def _pool(found: re.Match[str]) -> Pool:
    kind, size, stride, padding = found.groups()
    return Pool(
        int(size), int(stride or 0), int(padding or 0), "max" if kind == "max" else "average"
    )


_WORDS: list[tuple[re.Pattern[str], Callable[[re.Match[str]], Layer]]] = [
    (re.compile(pattern), make)
    for pattern, make in (
        (
            rf"conv {_NUMBER}x{_NUMBER} to {_NUMBER}(?: stride {_NUMBER})?(?: pad {_NUMBER})?"
            rf"(?: groups {_NUMBER})?(?: no bias)?",
            _conv,
        ),
        (rf"dense {_NUMBER}( no bias)?", lambda m: Dense(int(m[1]), not m[2])),
        (r"batch norm", lambda m: Norm()),
        (r"layer norm", lambda m: Norm("layer")),
        (rf"group norm {_NUMBER}", lambda m: Norm("group", int(m[1]))),
        (r"activation", lambda m: Activation()),
        (rf"(max|average) pool {_NUMBER}(?: stride {_NUMBER})?(?: pad {_NUMBER})?", _pool),
        (rf"average pool to {_NUMBER}x{_NUMBER}", lambda m: AdaptivePool(int(m[1]))),
        (r"dropout", lambda m: Dropout()),
        (r"conv dropout", lambda m: Dropout(rate="dropout_conv")),
        (r"channel dropout", lambda m: Dropout(whole_channels=True)),
        (r"conv channel dropout", lambda m: Dropout(True, "dropout_conv")),
        (r"flatten", lambda m: Flatten()),
    )
]


def _word(layer: Layer) -> str:
    match layer:
        case Conv(width, kernel, stride, padding, groups, bias):
            more = (("stride", stride, 1), ("pad", padding, 0), ("groups", groups, 1))
            said = "".join(f" {word} {value}" for word, value, usual in more if value != usual)
            return f"conv {kernel}x{kernel} to {width}{said}{'' if bias else ' no bias'}"
        case Dense(width, bias):
            return f"dense {width}{'' if bias else ' no bias'}"
        case Norm(kind, groups):
            return f"{kind} norm{f' {groups}' if kind == 'group' else ''}"
        case Activation():
            return "activation"
        case Pool(size, stride, padding, kind):
            step = f" stride {stride}" if stride else ""
            return f"{kind} pool {size}{step}{f' pad {padding}' if padding else ''}"
        case AdaptivePool(size):
            return f"average pool to {size}x{size}"
        case Dropout(whole, rate):
            conv = "conv " if rate == "dropout_conv" else ""
            return f"{conv}{'channel ' if whole else ''}dropout"
        case Residual(body, shortcut):
            return f"({written(body)}) + ({written(shortcut)})"
    return "flatten"
