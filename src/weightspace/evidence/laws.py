"""The laws by name, in the order in which their evidence is listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from weightspace.evidence.before_norm import before_norm_law
from weightspace.evidence.beside import settings_law, state_law
from weightspace.evidence.bounds import bound_law
from weightspace.evidence.columns import column_sum_law
from weightspace.evidence.context import Context
from weightspace.evidence.counters import counter_law
from weightspace.evidence.directions import still_direction_law
from weightspace.evidence.grids import grid_law
from weightspace.evidence.initial import initial_law
from weightspace.evidence.inputs import input_law
from weightspace.evidence.kernels import kernel_law
from weightspace.evidence.record import Evidence
from weightspace.evidence.rows import unused_row_law
from weightspace.evidence.seeds import seed_law
from weightspace.evidence.subject import Subject
from weightspace.progress import Progress, each, silent

Law = Callable[[Subject, Context], Iterator[Evidence]]
TASK = "laws of training"
"""What progress is told of."""

LAWS: Mapping[str, Law] = {
    "column sums": column_sum_law,
    "still directions": still_direction_law,
    "before batch norm": before_norm_law,
    "kernels before batch norm": kernel_law,
    "counters": counter_law,
    "bounds of steps": bound_law,
    "number formats": grid_law,
    "optimizer state": state_law,
    "settings in the file": settings_law,
    "initial weights by seed": seed_law,
    "inputs that never vary": input_law,
    "initial distributions": initial_law,
    "unused rows": unused_row_law,
}
"""Each law is a function of a net and of what is known beside it. To add one, write a function and
add a line here, and a page in docs/laws."""


def examine(
    subject: Subject, context: Context | None = None, progress: Progress = silent
) -> tuple[Evidence, ...]:
    """What the laws of training say of a net.

    Parameters
    ----------
    subject : Subject
        The net.
    context : Context, optional
        What is known or asked beside it.
    progress : Progress
        Called after each law.

    Returns
    -------
    tuple of Evidence
        In the order of the laws; those that cannot be applied give the reason in `missing`.
    """
    asked = context or Context()
    laws = each(list(LAWS.values()), progress, TASK)
    return tuple(found for law in laws for found in law(subject, asked))
