"""`demo`: the whole way from a recipe to a report, small, on built-in images."""

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
"""Values a slice: less than a third of the demo's shortest vector."""

FEWEST_NETS = 40
"""Ten nets of each level of a property of four levels: two for each of five folds."""


@dataclass(frozen=True)
class Demo:
    """What the demo made: the zoo's directory, the dissection and the page's path."""

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

    The zoo goes to `out`/zoo, tables, figures and the page to `out`/report. Raises `UsageError`
    for too few nets, with the number that would do, and where the page cannot go there.
    """
    if nets < FEWEST_NETS:
        raise UsageError(f"nets: {nets} are too few for intervals; the demo needs {FEWEST_NETS}")
    out = arguments.folder(Path(out))
    refuse_foreign(out / "report")
    zoo = sampling.sample(
        "demo", nets=nets, out=out / "zoo", seed=seed, evaluation_images=200, progress=progress
    )
    result = dissection.dissect(
        zoo,
        slice_length=SLICE_LENGTH,
        classifiers=("kernel", "layers"),
        also=(),  # a demo is over in minutes
        command=f"weightspace demo --nets {nets} --seed {seed}",
        progress=progress,
    )
    return Demo(zoo.path, result, report.write(result, out / "report"))
