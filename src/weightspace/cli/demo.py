"""`demo`: sample a small zoo of built-in images, dissect it, and write a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from weightspace import dissection, report, sampling
from weightspace.cli import arguments
from weightspace.dissection import Dissection
from weightspace.errors import UsageError
from weightspace.progress import Progress, silent
from weightspace.report.writing import refuse_foreign
from weightspace.sampling.options import Options

SLICE_LENGTH = 1000
"""The length of a slice: less than a third of the demo's shortest vector."""

FEWEST_NETS = 40
"""For a property of four levels, ten nets of each level: two for each of five folds."""


@dataclass(frozen=True)
class Demo:
    """The results of the demo: the zoo's folder, the dissection and the page's path."""

    zoo: Path
    dissection: Dissection
    page: Path


def demo(
    out: str | Path = arguments.DEMO_FOLDER,
    *,
    nets: int = arguments.DEMO_NETS,
    seed: int = Options.seed,
    progress: Progress = silent,
) -> Demo:
    """Sample `nets` nets of the `demo` space, dissect them, and write one HTML page.

    The zoo is written to `out`/zoo; tables, figures and the page are written to `out`/report.
    Raises `UsageError` for too few nets, with the number needed, and if the page cannot be written.
    """
    if nets < FEWEST_NETS:
        raise UsageError(
            "nets", f"{nets} are too few for intervals", f"the demo needs {FEWEST_NETS}"
        )
    out = arguments.folder(Path(out))
    refuse_foreign(out / "report")
    zoo = sampling.sample(
        "demo", nets=nets, out=out / "zoo", seed=seed, evaluation_images=200, progress=progress
    )
    result = dissection.dissect(
        zoo,
        slice_length=SLICE_LENGTH,
        classifiers=("kernel", "layers"),
        also=(),  # the demo must end within minutes
        command=f"weightspace demo --nets {nets} --seed {seed}",
        progress=progress,
    )
    return Demo(zoo.path, result, report.write(result, out / "report"))
