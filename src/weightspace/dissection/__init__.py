"""How much, where and when each hyper-parameter can be read off the weights of a population.

In: a zoo. Out: a `Dissection`: tidy frames of accuracies with 95 % intervals over nets and
chance, the training of the nets themselves, and the facts it takes to trust and repeat it, kept
in a folder as Parquet and JSON. Promises: split by net everywhere; at every place all nets are
read at one length, so that a net's size is not read off the length of a slice; the same zoo and
arguments give the same numbers. Knows nothing of figures or pages.
"""

from weightspace.dissection.analyses import ALSO, ANALYSES, Analysis
from weightspace.dissection.dissect import dissect
from weightspace.dissection.map import Map
from weightspace.dissection.result import Dissection
from weightspace.dissection.slices import Slices
from weightspace.dissection.training import Training
from weightspace.dissection.transfer import Transfer
from weightspace.dissection.unseen import Unseen
from weightspace.dissection.what import What
from weightspace.dissection.when import When
from weightspace.dissection.where import Where

__all__ = [
    "ALSO",
    "ANALYSES",
    "Analysis",
    "Dissection",
    "Map",
    "Slices",
    "Training",
    "Transfer",
    "Unseen",
    "What",
    "When",
    "Where",
    "dissect",
]
