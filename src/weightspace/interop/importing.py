"""`import_zoo`: make zoos of populations in other formats."""

from __future__ import annotations

from pathlib import Path

from weightspace.errors import SITE, DataError, UsageError
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
"""The formats by name: the function that reads a folder, and the origin of its nets."""


def import_zoo(
    folder: str | Path,
    out: str | Path,
    format: str,
    *,
    rounded: bool = False,
    left_out: LeftOut | None = None,
    progress: Progress = silent,
) -> Zoo:
    """Make a zoo of a folder of nets in another format.

    Unknown values stay null. Nothing in the files is executed. If the import is stopped, the nets
    that were read stay in the zoo, and the same call continues.

    Parameters
    ----------
    folder : str or Path
        The folder with the nets.
    out : str or Path
        The folder of the new zoo.
    format : str
        A name of `READERS`, such as "nws" for the NWS data set. docs/interop.md describes each.
    rounded : bool
        Whether to round values that float32 cannot represent; otherwise they are an error.
    left_out : callable, optional
        Called as `left_out(net, error)` for a net that cannot be read, or of which something that
        is known is wrong. The net is then left out. Without it such a net is an error.
    progress : callable, optional
        Called as `progress(task, done, total)` while it works.

    Returns
    -------
    Zoo

    Raises
    ------
    DataError
        If a file cannot be read; one line with file and net.
    UsageError
        If the format is unknown, or if `out` contains anything else.
    """
    if format not in READERS:
        raise UsageError("format", f"{format!r} is unknown", f"known are {', '.join(READERS)}")
    reader, origin = READERS[format]
    inside = folder_of(folder, "the nets")
    arrivals = list(reader(inside, rounded=rounded, left_out=left_out))
    if not arrivals:
        raise DataError(
            folder, f"contains no nets in the format {format}", f"{SITE}interop/ shows it"
        )
    return settle(Path(out), arrivals, origin, left_out, progress)
