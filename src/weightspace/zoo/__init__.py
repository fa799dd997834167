"""Populations of trained nets on disk: the format, its writer, its reader and its check.

In: flat vectors and one row of facts a net and a snapshot. Out: tables as polars frames, vectors
and slices as arrays. Promises: a unit of nets is in the zoo whole or not
at all, whatever stops its writer; any number of processes write different units at once; every
vector has a checksum; nothing that a file says is executed, and no offset is trusted unchecked.
The whole specification is docs/format.md. Needs NumPy, pyarrow and polars, no torch, and does not
know how the nets were trained.
"""

from weightspace.zoo.check import Finding, check
from weightspace.zoo.index import refresh as refresh_index
from weightspace.zoo.index import write as write_index
from weightspace.zoo.loading import Batch, SliceDataset
from weightspace.zoo.manifest import FORMAT, VERSION
from weightspace.zoo.merge import merge
from weightspace.zoo.places import MANIFEST
from weightspace.zoo.reader import Zoo, opened
from weightspace.zoo.repair import Repair, repair
from weightspace.zoo.rounds import Round
from weightspace.zoo.rounds import read as read_rounds
from weightspace.zoo.slices import Slices, Vectors
from weightspace.zoo.splits import Split, stratified
from weightspace.zoo.writer import UnitWriter, Writer, reclaimable

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
