"""`import_zoo`: populations in the forms of others become zoos."""

from __future__ import annotations

from pathlib import Path

from weightspace.errors import DataError, UsageError
from weightspace.interop import modelzoos, nws_reading, unterthiner
from weightspace.interop.arrivals import LeftOut, settle
from weightspace.interop.inside import folder_of
from weightspace.progress import Progress, silent
from weightspace.zoo import Zoo

READERS = {
    "nws": (nws_reading.arrivals, nws_reading.ORIGIN),
    "unterthiner": (unterthiner.arrivals, unterthiner.ORIGIN),
    "modelzoos": (modelzoos.arrivals, modelzoos.ORIGIN),
}


def import_zoo(
    folder: str | Path,
    out: str | Path,
    format: str,
    *,
    rounded: bool = False,
    left_out: LeftOut | None = None,
    progress: Progress = silent,
) -> Zoo:
    """Make a zoo at `out` of a folder of nets in another format.

    "nws": the NWS data set (Eilertsen et al., ECAI 2020); "unterthiner": the Small CNN Zoo
    (Unterthiner et al., 2020); "modelzoos": trial folders of Ray Tune as in Model Zoos (Schürholt
    et al., NeurIPS 2022). What is not on record stays null. Nothing in the files is executed.

    A value that float32 does not hold is refused, or with `rounded` replaced by the nearest. A net
    that cannot be read ends the import, unless `left_out(net, error)` is there to be told; then it
    is left out. Nets that were read stay, and the same call continues. Raises DataError, in one
    line that names file and net, and UsageError where `out` holds anything else.
    """
    if format not in READERS:
        raise UsageError(f"format: {format!r} is unknown; known are {', '.join(READERS)}")
    reader, origin = READERS[format]
    arrivals = list(reader(folder_of(folder, "the nets"), rounded=rounded))
    if not arrivals:
        raise DataError(
            f"{folder}: holds no nets in the form of {format}; docs/interop.md shows the form"
        )
    return settle(Path(out), arrivals, origin, left_out, progress)
