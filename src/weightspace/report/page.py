"""One self-contained HTML page of a dissection: findings, charts, how sure, all numbers.

The page loads nothing: the charts' JavaScript stands in it once, and its own content security
policy forbids every request. All text from a zoo is escaped, and only the two scripts whose
hashes the policy names may run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import polars as pl
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from weightspace.dissection import Dissection
from weightspace.report import charts, findings, reading, rows
from weightspace.report.headline import Headline, headline
from weightspace.report.trust import fact_rows, sureness
from weightspace.report.words import count, interval, label, percent, tight

VEGA_LITE = "6.4"


@dataclass(frozen=True)
class Section:
    """A figure of the page: its finding, how to read it, its chart and its numbers.

    `panels` names the properties that get a chart each; empty for one chart over all.
    """

    name: str
    kicker: str
    title: str
    reading: str
    spec: dict[str, Any]
    rows: list[dict[str, Any]]
    table: pl.DataFrame
    panels: Sequence[str] = ()
    extra: list[dict[str, Any]] = field(default_factory=list)

    @property
    def cells(self) -> tuple[list[str], list[list[str]]]:
        """The numbers behind the figure as headings and text."""
        return rows.cells(self.table)


def page(dissection: Dissection) -> str:
    """The page of a dissection as HTML text, some 1 MB, readable without a network."""
    much = dissection.much.frame()
    head = headline(much)
    sections = _sections(dissection, head)
    data = {
        section.name: {"spec": section.spec, "rows": section.rows, "extra": section.extra}
        for section in sections
    }
    bundle, script = _bundle(), _own("page.js")
    return _template().render(
        title=_title(dissection),
        lead=_lead(dissection, head),
        sections=sections,
        properties=head.properties,
        legible=[line.name for line in head.lines if line.shown],
        head=head,
        sureness=sureness(much, head, dissection.facts),
        facts=fact_rows(dissection.facts),
        command=dissection.facts.get("command"),
        evaluation=rows.cells(much),
        data=data,
        style=Markup(_own("page.css")),
        bundle=Markup(bundle),
        script=Markup(script),
        hashes=[_hash(bundle), _hash(script)],
    )


def _sections(dissection: Dissection, head: Headline) -> list[Section]:
    """The figures that have numbers, in the order of the questions."""
    order, facts = head.properties, dissection.facts
    heads = {"much": ("How much", head)}
    if "net" in dissection.much.frame()["unit"]:
        heads["whole"] = ("How much, from whole nets", headline(dissection.much.frame(), "net"))
    found = [
        Section(
            name,
            kicker,
            findings.much(own),
            reading.much(own),
            charts.much([label(line) for line in own.properties]),
            rows.much(own),
            dissection.much.frame().filter(unit=own.unit),
        )
        for name, (kicker, own) in heads.items()
    ]
    place = dissection.where.frame()
    position = place.filter(pl.col("axis") == "position")
    if position.height:
        found.append(
            Section(
                "where",
                "Where along the vector",
                findings.where(place),
                reading.where(position),
                charts.along(),
                rows.where(place),
                position,
                _panels(position, order),
                rows.layers(facts),
            )
        )
    inner = place.filter(pl.col("axis") != "position")
    if inner.height:
        part_rows, part_order = rows.parts(place)
        found.append(
            Section(
                "part",
                "Where by part and depth",
                findings.parts(place),
                reading.part(place),
                charts.parts(part_order),
                part_rows,
                inner,
                _panels(inner, order),
            )
        )
    moments = dissection.when.frame()
    if moments.height:
        found.append(
            Section(
                "when",
                "When",
                findings.when(moments, order),
                reading.when(moments),
                charts.over_training(),
                rows.when(moments),
                moments,
                _panels(moments, order),
            )
        )
    trained = dissection.training.frame()
    if trained.height:
        datasets = trained["dataset"].unique(maintain_order=True).to_list()
        found.append(
            Section(
                "training",
                "The nets themselves",
                findings.training(trained),
                reading.training(),
                charts.training(datasets),
                rows.training(trained),
                trained,
                extra=rows.endings(trained, gap=0.07),
            )
        )
    return found


def _panels(frame: pl.DataFrame, order: Sequence[str]) -> list[str]:
    return rows.ordered(frame["property"].unique(maintain_order=True).to_list(), order)


def _title(dissection: Dissection) -> str:
    nets = int(dissection.facts.get("nets", dissection.much.frame()["n_nets"][0]))
    return f"What the weights of {count(nets, 'net')} tell about their training"


def _lead(dissection: Dissection, head: Headline) -> str:
    space = dissection.facts.get("space")
    drawn = f" drawn from the space “{space}”" if space else ""
    shown = sum(line.shown for line in head.lines)
    return (
        f"Each net{drawn} was trained with known settings. A classifier then learned to name a "
        f"setting from nothing but {head.source}, and was tested on nets it had never seen. "
        f"{shown} of {count(len(head.lines), 'property')} can be read better than chance."
    )


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("weightspace.report", "."),
        autoescape=select_autoescape(("html", "jinja")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"label": label, "percent": percent, "tight": tight}
    environment.globals |= {"interval": interval, "reach": rows.reach}
    return environment.get_template("page.html.jinja")


@cache
def _bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, safe to stand between script tags."""
    bundle: str = vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE
    )
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _own(name: str) -> str:
    return (resources.files("weightspace.report") / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
