"""`explore`: one self-contained HTML page that shows the nets of a zoo on a map, and each of them.

The page loads nothing: its content security policy forbids every request. All text from a zoo is
shown as text, and only the script whose hash the policy names may run. Details of nets lie in the
page compressed, and are unpacked when a net is shown.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from weightspace import disk
from weightspace.meta import Model
from weightspace.printable import printable
from weightspace.progress import Progress, silent
from weightspace.report.claims.words import count
from weightspace.report.exploring.collecting import BLOCK, Collected, collect
from weightspace.report.exploring.packing import as_text, coded, packed
from weightspace.report.html.assets import environment, own
from weightspace.zoo import Zoo, opened

PAGE = "explorer.html"
_PACKAGE = "weightspace.report.exploring"
_SCRIPTS = ("data", "colour", "map", "pointing", "choosing", "charts", "net", "main")


def explore(
    zoo: Zoo | str | Path,
    out: str | Path,
    model: Model | str | Path | None = None,
    *,
    most_nets: int = 10_000,
    seed: int = 0,
    progress: Progress = silent,
) -> Path:
    """Write a page that shows the nets of a zoo on a map, and the details of each.

    The map places snapshots by the first two principal components of per-layer features, as the
    map of a dissection does, and by t-SNE. The page colours nets by any column of the table of
    nets, filters and selects them, and draws the paths of their training. Of each net it shows the
    recipe, the curves of loss and accuracy, the weights of the first layer as images, mean, spread
    and norm of each tensor over training, and what a model reads off it.

    Parameters
    ----------
    zoo : Zoo, str or Path
        The zoo, or where it lies.
    out : str or Path
        The folder for `explorer.html`. It must not exist, or be empty. It appears when the page is
        complete.
    model : Model, str or Path, optional
        A model, or its folder. It reads the last snapshot of each net.
    most_nets : int
        If the zoo has more nets, so many are taken at random.
    seed : int
        The seed of that choice.
    progress : callable
        Called with a task, how much is done, and the total.

    Returns
    -------
    Path
        The path of the page. It needs no network.

    Raises
    ------
    UsageError
        If the folder has files in it, or the zoo has no nets.
    DataError
        If the zoo or the model cannot be read.

    Examples
    --------
    >>> import weightspace as ws
    >>> ws.explore("my-zoo", "explorer", model="my-model")  # doctest: +SKIP
    PosixPath('explorer/explorer.html')
    """
    out = Path(out)
    with disk.whole_folder(out) as folder:
        text = explorer_page(zoo, model, most_nets=most_nets, seed=seed, progress=progress)
        disk.write_file(folder / PAGE, text.encode())
    return out / PAGE


def explorer_page(
    zoo: Zoo | str | Path,
    model: Model | str | Path | None = None,
    *,
    most_nets: int = 10_000,
    seed: int = 0,
    progress: Progress = silent,
) -> str:
    """Make the page that `explore` writes.

    Parameters
    ----------
    zoo, model, most_nets, seed, progress
        As for `explore`.

    Returns
    -------
    str
        The page. To embed it in another page, make it the `srcdoc` of an `iframe`.

    Raises
    ------
    UsageError, DataError
        As `explore`.
    """
    read = Model.load(model) if isinstance(model, str | Path) else model
    return rendered(collect(opened(zoo), read, most_nets=most_nets, seed=seed, progress=progress))


def rendered(found: Collected) -> str:
    """The page of what was collected."""
    script = _script()
    nets = len(found.nets)
    space = printable(found.zoo.space.name, 60)
    return (
        environment(_PACKAGE)
        .get_template("explore.html.jinja")
        .render(
            title=f"{count(nets, 'net')} of the space {space}",
            lead=_lead(found),
            main=as_text(_main(found)),
            blocks=found.blocks,
            style=Markup(own("page.css") + own("explore.css", _PACKAGE)),
            script=Markup(script),
            hash=_hash(script),
        )
    )


def _lead(found: Collected) -> str:
    total = found.zoo.nets.height
    shown = "" if len(found.nets) == total else f", drawn at random from {total:,},"
    return (
        f"Each dot is one net{shown} at one moment of its training. Nets are near each other if "
        "statistics of their layers are similar. The map is descriptive: it tests nothing."
    )


def _main(found: Collected) -> bytes:
    """What the page needs at once: columns, places, and how to read the details."""
    arrays: dict[str, np.ndarray] = {"first": found.first.astype(np.uint32)}
    arrays["numbers"] = found.numbers.astype(np.uint32)
    maps = {}
    for name, places in (("plane", found.plane), ("tsne", found.tsne)):
        low, high, codes = coded(places.T)
        maps[name] = [[float(low[i]), float(high[i])] for i in range(2)]
        arrays[f"{name}.x"], arrays[f"{name}.y"] = codes
    columns = []
    for place, column in enumerate(found.columns):
        columns.append(column.about())
        if column.values is not None:
            arrays[f"column.{place}"] = column.values
    header: dict[str, Any] = {
        "nets": found.nets,
        "columns": columns,
        "maps": maps,
        "block": BLOCK,
        "layouts": found.layouts,
        "metrics": [printable(name, 60) for name in found.metrics],
        "model": _model(found),
    }
    return packed(header, arrays)


def _model(found: Collected) -> dict[str, Any] | None:
    """What the page says of the model: what it was trained on, and how good it is."""
    if found.model is None:
        return None
    facts = found.model["facts"]
    return {
        "space": printable(facts.get("space"), 60),
        "same": facts.get("space") == found.zoo.space.name,
        "nets": facts.get("nets"),
        "properties": {
            one["property"]: [one["accuracy"], one["low"], one["high"], one["chance"]]
            for one in found.model["properties"]
        },
    }


def _script() -> str:
    """The parts of the script in one function of its own."""
    parts = "\n".join(own(f"explore-{name}.js", _PACKAGE) for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
