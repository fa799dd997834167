"""Column sums of the output layer: linear optimizers keep them, adaptive ones do not."""

from __future__ import annotations

from collections.abc import Iterator

from weightspace.evidence.context import Context
from weightspace.evidence.record import Evidence, unable
from weightspace.evidence.subject import Subject

LAW = "column sums"


def column_sum_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence on the optimizer's family, the weight decay and the initialization."""
    layer = subject.output
    if layer is None or layer.outputs < 2:
        yield unable(LAW, "optimizer", "the net does not end in a dense layer of two or more units")
