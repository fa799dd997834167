"""The glossary of a page: words that a reader may not know, and their meaning here."""

from __future__ import annotations

from collections.abc import Iterator

from weightspace.dissection import Dissection
from weightspace.meta import CLASSIFIERS
from weightspace.report.claims.words import label

_ALWAYS = {
    "property": "a setting of a net or of its training that differs between nets, and that "
    "classifiers predict",
    "level": "a value that a property can take: adam is a level of the optimizer. A property that "
    "is a number has three levels, the thirds of its range",
    "chance": "1 / number of levels: the accuracy of a guess without any knowledge of the net",
    "interval": "a range that contains the true number in 95 of 100 cases; it shows how much a "
    "number depends on which nets were sampled",
    "weight vector": "all tensors of a net in one vector, layer by layer, from the first layer to "
    "the last",
    "slice": "a run of consecutive weights of a net's weight vector",
    "conv, fc": "convolutional and fully connected layers; a net has conv layers first, then fc",
    "significant": "unlikely to be due to chance: significant at 5 %, corrected for the number of "
    "comparisons that a title chooses from (Bonferroni, or the studentised range for places along "
    "the weight vector)",
}
_PROPERTIES = {
    "filter_size": "width and height of the filters of convolutions",
    "depth_conv": "number of convolutions of a net",
    "width_conv": "number of channels of a net's first convolutions",
    "depth_fc": "number of hidden fully connected layers of a net",
    "width_fc": "number of units of a net's first fully connected layer",
}
_CONTROL = (
    "the control: the levels are permuted over the nets at random, so the accuracy that the same "
    "procedure then reaches is due to chance"
)
_SNAPSHOT = "a copy of the weights of a net, stored at one moment of its training"
_PROGRESS = "the share of its training that a net has completed, from 0 to 100 %"
_STATISTICS = (
    "mean and variance of activations, which batch norm keeps beside the weights; they are part of "
    "a checkpoint, but not trained"
)
WHAT = {
    "moments": "mean, spread, skewness and kurtosis of weights and of their differences",
    "quantiles": "the values below which given shares of the weights lie",
    "special values": "how many weights lie near 0 or 1, are positive, differ in sign from the "
    "next weight, or are equal to other weights",
    "change along the slice": "differences between parts of a slice, and short runs unlike the "
    "rest, such as biases between layers",
    "correlation of neighbours": "the correlation of weights at fixed distances, such as the sizes "
    "of kernels of 3x3, 5x5 and 7x7",
    "correlation of sizes": "the correlation of absolute weights at fixed distances",
    "spectrum": "the power of differences between neighbouring weights, by frequency",
    "norm": "the scale and shift of batch norm, which are trained",
    "change over the depth": "how these statistics change from layer to layer",
    "statistics of the inputs": "mean, variance and smoothness of the inputs, as the first batch "
    "norm shows them",
    "which tensors there are": "which parts of a net have biases, norms and running statistics",
    "shuffled": "the weights of a slice in random order",
    "scale removed": "the weights of a slice divided by their standard deviation",
    "ranks only": "each weight replaced by its rank: the smallest by 1, the next by 2 and so on",
    "signs only": "each weight replaced by its sign",
    "second half hidden": "the second half of the slice set to 0",
}
"""The rows of the figures of features and altered slices; `norm` stands for all its tensors."""


def glossary(dissection: Dissection) -> list[tuple[str, str]]:
    """Words and their meanings: the words that this page uses, then its classifiers."""
    much = dissection.much.frame()
    words = list(_ALWAYS.items())
    found = set(much["property"])
    words += [(label(name), text) for name, text in _PROPERTIES.items() if name in found]
    if much["control_low"].is_not_null().any():
        words.append(("permuted labels", _CONTROL))
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
