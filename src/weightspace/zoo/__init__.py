"""Populations of trained nets on disk: the format, its writer, its reader and its check.

In: flat vectors, one row of facts for each net and one for each snapshot. Out: tables as polars
frames, vectors and slices as arrays. Promises: a stack of nets is in the zoo completely or not at
all, even if its writer is killed; any number of processes can write different stacks at the same
time; every vector has a checksum; nothing in a file is ever executed, and every offset is checked
before it is used. A stack is a group of nets of one layout that were trained together: one shard of
vectors and two small tables. Its name stands in the column `unit`. The format is specified in
docs/format.md. This room needs NumPy, pyarrow and polars, but no torch, and does not know how the
nets were trained.
"""

from weightspace.zoo.care.check import check
from weightspace.zoo.care.findings import Finding
from weightspace.zoo.care.merge import merge as merge  # public: that of `recording`
from weightspace.zoo.care.repair import Repair, repair
from weightspace.zoo.files.places import MANIFEST
from weightspace.zoo.format.index import refresh as refresh_index
from weightspace.zoo.format.index import write as write_index
from weightspace.zoo.format.manifest import FORMAT, VERSION
from weightspace.zoo.format.rounds import Round
from weightspace.zoo.format.rounds import read as read_rounds
from weightspace.zoo.format.splits import Split, stratified
from weightspace.zoo.reading.loading import Batch, SliceDataset
from weightspace.zoo.reading.reader import Zoo, opened
from weightspace.zoo.reading.slices import Slices, Vectors
from weightspace.zoo.writing.unitwriter import UnitWriter
from weightspace.zoo.writing.writer import Writer, reclaimable

__all__ = [
    "FORMAT",
    "MANIFEST",
    "VERSION",
    "Batch",
    "Finding",
    "Repair",
    "Round",
    "SliceDataset",
    "Slices",
    "Split",
    "UnitWriter",
    "Vectors",
    "Writer",
    "Zoo",
    "check",
    "opened",
    "read_rounds",
    "reclaimable",
    "refresh_index",
    "repair",
    "stratified",
    "write_index",
]
