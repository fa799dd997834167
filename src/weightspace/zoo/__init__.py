"""Populations of trained nets on disk: the format, its writer, its reader and its check.

In: flat vectors and one row of facts a net and a snapshot. Out: tables as polars frames, vectors
and slices as arrays. Promises: a unit of nets is in the zoo whole or not
at all, whatever stops its writer; any number of processes write different units at once; every
vector has a checksum; nothing that a file says is executed, and no offset is trusted unchecked.
The whole specification is docs/format.md. Needs NumPy, pyarrow and polars, no torch, and does not
know how the nets were trained.
"""

from weightspace.zoo.care.check import Finding, check
from weightspace.zoo.care.merge import merge
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
from weightspace.zoo.writing.writer import UnitWriter, Writer, reclaimable

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
    "merge",
    "opened",
    "read_rounds",
    "reclaimable",
    "refresh_index",
    "repair",
    "stratified",
    "write_index",
]
