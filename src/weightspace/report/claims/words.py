"""Numbers and names as text for a reader: percent, intervals, lists, labels."""

from __future__ import annotations

import math
from collections.abc import Sequence


def label(name: str) -> str:
    """A column's name in plain words.

    >>> label("filter_size")
    'filter size'
    """
    return name.replace("_", " ")


def sentence(text: str) -> str:
    """The text with its first letter in upper case.

    >>> sentence("filter size and width conv")
    'Filter size and width conv'
    """
    return text[:1].upper() + text[1:]


def percent(value: float | None) -> str:
    """A share from 0 to 1 as whole percent; a dash where there is none.

    >>> percent(0.914), percent(None)
    ('91 %', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return f"{100 * value:.0f} %"


def interval(low: float | None, high: float | None) -> str:
    """An interval of shares, in whole percent.

    >>> interval(0.881, 0.934)
    '88–93 %'
    """
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return "–"
    return f"{100 * low:.0f}–{100 * high:.0f} %"


def tight(text: str) -> str:
    r"""The text with an unbreakable space between each number and its percent sign.

    >>> tight("91 % of nets")
    '91\xa0% of nets'
    """
    return text.replace(" %", "\u00a0%")


def listing(names: Sequence[str], most: int = 4) -> str:
    """Names in one phrase; of more than `most` names, the last ones are only counted.

    >>> listing(["a", "b", "c"]), listing(["a", "b", "c", "d", "e"], most=3)
    ('a, b and c', 'a, b and 3 more')
    """
    if len(names) > most:
        head, rest = names[: most - 1], len(names) - most + 1
        return f"{', '.join(head)} and {rest} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def count(number: int, thing: str) -> str:
    """A number with its noun in the right form.

    >>> count(1, "net"), count(1200, "net"), count(2, "property")
    ('1 net', '1,200 nets', '2 properties')
    """
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number:,} {thing if number == 1 else plural}"


def share_of_training(fraction: float) -> str:
    """The time of a snapshot in words.

    >>> share_of_training(0.0), share_of_training(0.25), share_of_training(1.0)
    ('before the first training step', 'after 25 % of training', 'at the end of training')
    """
    if fraction <= 0:
        return "before the first training step"
    if fraction >= 1:
        return "at the end of training"
    return f"after {max(1, round(100 * fraction))} % of training"
