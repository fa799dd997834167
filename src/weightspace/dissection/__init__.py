"""How well, where and when each hyper-parameter can be read from the weights of a population.

In: a zoo. Out: a `Dissection`: tables of accuracies with 95 % intervals over nets and chance, the
training curves of the nets, and the facts needed to check and repeat it, saved in a folder as
Parquet and JSON. Promises: folds are by net everywhere; at every place slices of all nets have one
length, so that the length does not encode the size of a net; the same zoo and arguments give the
same numbers. This room knows nothing of figures or pages.
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
