"""The words of a page that a reader may not know, with what they mean here."""

from __future__ import annotations

from collections.abc import Iterator

from weightspace.dissection import Dissection
from weightspace.meta import CLASSIFIERS

_ALWAYS = {
    "level": "a value that a property can take, as adam is one of the optimizer's; a property that "
    "is a number is read as thirds of its range",
    "chance": "1 / number of levels: what a guess reaches that knows nothing of the net",
    "interval": "how far luck in the choice of nets may have moved a number: made so that it holds "
    "the true one 95 times in 100",
    "slice": "weights that follow one another in a net's vector, which holds all its tensors, "
    "layer by layer",
    "conv, fc": "convolutional and fully connected layers; a net has conv layers first, then fc",
}
_CONTROL = "the levels shuffled over the nets: what is read off nets then is luck"
_SNAPSHOT = "the weights at one moment of training"
_PROGRESS = "how much of its training a net has behind it, from 0 to 100 %"
_STATISTICS = (
    "mean and variance of activations that batch norm keeps beside the weights: part of a "
    "checkpoint, though not trained"
)
WHAT = {
    "moments": "mean, spread, skewness and kurtosis of weights and of their differences",
    "quantiles": "the values below which given shares of the weights lie",
    "special values": "how many weights lie near 0 or 1, are positive, differ in sign from the "
    "next, or are equal to others",
    "change along the slice": "how parts of a slice differ, and short stretches unlike the rest, "
    "as biases between layers are",
    "correlation of neighbours": "how weights go together that lie so many places apart, as "
    "kernels of 3x3, 5x5 and 7x7 repeat",
    "correlation of sizes": "the same of sizes, whatever the sign",
    "spectrum": "how much of the change from weight to weight repeats at which frequency",
    "norm": "batch norm's scale and shift, which are trained",
    "change over the depth": "how such statistics rise or fall from layer to layer",
    "shuffled": "a slice's weights in random order",
    "scale removed": "divided by their spread",
    "ranks only": "the smallest replaced by 1, the next by 2 and so on",
    "signs only": "all but plus, minus and 0 taken away",
    "second half hidden": "set to 0",
}
"""The rows of the figures of what carries a property; `norm` stands for all of its tensors."""


def glossary(dissection: Dissection) -> list[tuple[str, str]]:
    """Words and meanings: those that this page uses, then its classifiers."""
    much = dissection.much.frame()
    words = list(_ALWAYS.items())
    if much["control_low"].is_not_null().any():
        words.append(("meaningless labels", _CONTROL))
    if dissection.when.frame().height:
        words.append(("snapshot", _SNAPSHOT))
    if dissection.numbers is not None and "progress" in dissection.numbers.frame()["target"]:
        words.append(("progress", _PROGRESS))
    if dissection.bare is not None:
        words.append(("running statistics", _STATISTICS))
    words += _what(dissection)
    used = much["classifier"].unique(maintain_order=True)
    return words + [(name, CLASSIFIERS[name].about) for name in used if name in CLASSIFIERS]


def _what(dissection: Dissection) -> Iterator[tuple[str, str]]:
    if dissection.what is not None:
        shown = set(dissection.what.frame()["name"])
        shown |= {name.rpartition(", ")[2] for name in shown}
        yield from ((name, text) for name, text in WHAT.items() if name in shown)
