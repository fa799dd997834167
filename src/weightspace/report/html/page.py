"""One self-contained HTML page of a dissection: findings, charts, how sure, all numbers.

The page loads nothing: it contains the charts' JavaScript, and its content security policy forbids
every request. All text from a zoo is escaped, and only the two scripts whose hashes the policy
names may run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import vl_convert
from jinja2 import Template
from markupsafe import Markup

from weightspace.dissection import Dissection
from weightspace.report.claims.headline import Headline, headline
from weightspace.report.claims.words import count, interval, label, percent, tight
from weightspace.report.contents import sections
from weightspace.report.drawing import rows
from weightspace.report.drawing.section import Section
from weightspace.report.html import assets, trust
from weightspace.report.html.glossary import glossary

VEGA_LITE = "6.4"


def page(dissection: Dissection) -> str:
    """Make the HTML page of a dissection.

    Parameters
    ----------
    dissection : Dissection
        As `dissect` or `Dissection.load` returns it.

    Returns
    -------
    str
        The page, 1 to 3 MB of HTML. It needs no network.
    """
    much = dissection.much.frame()
    head = headline(much)
    found = sections(dissection)
    data = {
        section.name: {"spec": section.chart(), "rows": section.rows, "extra": section.extra}
        | ({"specs": panels} if (panels := section.charts()) else {})
        for section in found
    }
    bundle, script = _bundle(), assets.own("page.js")
    return _template().render(
        title=_title(dissection),
        lead=_lead(dissection, head),
        answers=_answers(dissection, head, found),
        sections=found,
        glossary=glossary(dissection),
        properties=head.properties,
        legible=[line.name for line in head.lines if line.shown],
        head=head,
        sureness=trust.sureness(dissection.much, head, dissection.facts),
        facts=trust.fact_rows(dissection.facts),
        command=dissection.facts.get("command"),
        evaluation=rows.cells(much),
        data=data,
        style=Markup(assets.own("page.css")),
        bundle=Markup(bundle),
        script=Markup(script),
        hashes=[_hash(bundle), _hash(script)],
    )


QUESTIONS = ("How much", "Where", "When", "What", "How sure")


@dataclass(frozen=True)
class Answer:
    """An entry at the top of the page: a question, its finding, and links to its sections."""

    question: str
    finding: str
    links: list[tuple[str, str]]


def _answers(dissection: Dissection, head: Headline, found: Sequence[Section]) -> list[Answer]:
    """An answer to each question that has a figure; "How sure" always has one."""
    answers = []
    for question in QUESTIONS:
        own = [section for section in found if section.question == question]
        links = [(section.name, section.short) for section in own]
        if question == "How sure":
            links += [("sure", "how it was tested"), ("table", "all results"), ("facts", "facts")]
            answers.append(Answer(question, trust.summary(dissection.much, head), links))
        elif own:
            # The findings of slices and of whole nets are both answers.
            told = [section.title for section in own if section.name in ("much", "whole")]
            answers.append(Answer(question, ". ".join(told or [own[0].title]), links))
    return answers


def _title(dissection: Dissection) -> str:
    nets = int(dissection.facts.get("nets", dissection.much.frame()["n_nets"][0]))
    return f"What the weights of {count(nets, 'net')} encode about their training"


def _lead(dissection: Dissection, head: Headline) -> str:
    space = dissection.facts.get("space")
    drawn = f" drawn from the space “{space}”" if space else ""
    shown = sum(line.shown for line in head.lines)
    return (
        f"Each net was trained with known settings{drawn}, here called properties. Then a "
        f"classifier was trained to predict each property from {head.source} alone, and tested on "
        f"other nets. {shown} of {count(len(head.lines), 'property')} can be predicted better than "
        "by chance."
    )


def _template() -> Template:
    environment = assets.environment()
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters |= {"label": label, "percent": percent, "tight": tight}
    environment.globals |= {"interval": interval, "reach": rows.reach}
    return environment.get_template("page.html.jinja")


@cache
def _bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that is safe between script tags."""
    bundle: str = vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE
    )
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
