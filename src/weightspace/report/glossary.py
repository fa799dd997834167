"""The words of a page that a reader may not know, with what they mean here."""

from __future__ import annotations

from collections.abc import Sequence

from weightspace.dissection import Dissection
from weightspace.meta import CLASSIFIERS
from weightspace.report.section import Section

_WORDS = {
    "slice": "weights that follow one another in a net's vector, which holds all its tensors, "
    "layer by layer",
    "conv, fc": "convolutional and fully connected layers; a net has conv layers first, then fc",
    "chance": "how often a guess is right that knows nothing of the net: one in as many as the "
    "property has levels",
    "meaningless labels": "the levels shuffled over the nets: what is read off nets then, is luck",
    "interval": "where the number would lie, 95 times in 100, had other nets been drawn",
    "snapshot": "the weights at one moment of training",
    "running statistics": "mean and variance of activations that batch norm keeps beside the "
    "weights: part of a checkpoint, though not trained",
}


def glossary(dissection: Dissection, found: Sequence[Section]) -> list[tuple[str, str]]:
    """Words and meanings: those that stand on any page, then the classifiers of this one.

    Running statistics and snapshots are left out where no figure shows them.
    """
    shown = {section.name for section in found}
    unknown = set()
    if not shown & {"bare", "part", "tensors"}:
        unknown.add("running statistics")
    if not shown & {"when", "transfer", "training", "paths"}:
        unknown.add("snapshot")
    words = [(word, text) for word, text in _WORDS.items() if word not in unknown]
    used = dissection.much.frame()["classifier"].unique(maintain_order=True)
    return words + [(name, CLASSIFIERS[name].about) for name in used if name in CLASSIFIERS]
