"""The command `audit`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightspace.cli import completing
from weightspace.cli.arguments import Key
from weightspace.cli.output import Debug, as_options, fail, told
from weightspace.errors import DataError, UsageError

if TYPE_CHECKING:
    from weightspace.audit import Audit, Claims
    from weightspace.audit.formats import Outcome


def audit(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Checkpoints.")],
    claims: Annotated[
        str | None,
        typer.Option(
            metavar="CARD",
            help="What is claimed: a YAML or JSON file, a model card (README.md), a folder with "
            "one, or hf://OWNER/NAME.",
        ),
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A claim, such as optimizer=sgd; more than once.",
            autocompletion=completing.one_of(completing.CLAIMS, "="),
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="The training data: the name of an image set, or a NAME.npz.",
            autocompletion=completing.one_of(completing.image_sets),
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="Also try the seeds from 0 up to this one, to find the initial one.")
    ] = 0,
    model: Annotated[
        Path | None,
        typer.Option(help="A model that `fit` saved, whose readings are listed, too."),
    ] = None,
    around: Annotated[
        str | None,
        typer.Option(
            metavar="auto|net.py:build|SPACE.yaml",
            help="Sample nets like this one on --data, trained in many ways, and add what they "
            "tell. auto takes the layers from the shapes; a net.py is run.",
        ),
    ] = None,
    budget: Annotated[
        str, typer.Option(metavar="TIME", help="How long --around may sample: 20m, 90s, 2h.")
    ] = "20m",
    population: Annotated[
        Path | None,
        typer.Option(help="The folder of these nets, to go on with; by default in the cache."),
    ] = None,
    space_out: Annotated[
        Path | None,
        typer.Option(
            metavar="SPACE.yaml",
            help="Only write the space of --around into this file, to be edited and given back.",
        ),
    ] = None,
    key: Key = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="text, json, html, sarif, cyclonedx or markdown.",
            autocompletion=completing.one_of(completing.AUDIT_FORMATS),
        ),
    ] = "text",
    require: Annotated[
        str | None,
        typer.Option(
            metavar="decided",
            help="Exit with 1 if a claim is undecidable, too.",
            autocompletion=completing.one_of(("decided",)),
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the output into this file.")] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="OUT.html", help="Also write a page with pictures into this file."),
    ] = None,
    sarif: Annotated[
        Path | None, typer.Option(metavar="OUT.sarif", help="Also write SARIF into this file.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="OUT.md", help="Also write Markdown into this file.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of text.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Say how checkpoints were trained, and whether claims are true.

    Each claim is consistent, contradicted or undecidable, with its evidence. The exit code is 0 if
    nothing is contradicted, 1 if something is, and 2 if a file or a claim cannot be read.
    """
    from weightspace.audit.formats import FORMATS

    form = _form(form, as_json, [*FORMATS, "html"])
    drawn = form == "html" or html is not None
    if drawn and len(files) > 1:
        raise UsageError("html", "a page is that of one file", "give one file")
    if require not in (None, "decided"):
        raise UsageError("require", f"{require!r} is unknown; known is decided")
    asked = _claims(claims, claim or [])
    hashed = form == "cyclonedx" or drawn
    options = {"seeds": seeds, "key": key, "hashed": hashed, "traced": drawn}
    if around is not None:
        _refuse_without(files, data, model)
        if space_out is not None:
            _write_space(space_out, files[0], asked, str(data), around, key)
            return
        outcomes = _sampled(
            files[0], asked, claims or "", str(data), around, _seconds(budget), population, options
        )
    else:
        outcomes = _audited(files, asked, claims or "", data, model, options)
    for one in outcomes:
        if one.error:
            fail(one.error, 2)
    page = _page(outcomes) if drawn else ""
    written = page if form == "html" else FORMATS[form](outcomes)
    if html is not None and page:
        _write(html, page)
    for also, place in (("sarif", sarif), ("markdown", markdown)):
        if place is not None:
            _write(place, FORMATS[also](outcomes))
    if out is not None:
        _write(out, written)
    elif written:
        print(written)
    raise typer.Exit(_code(outcomes, require == "decided"))


def _page(outcomes: list[Outcome]) -> str:
    """The page of the only audit; "" if the file cannot be read."""
    from weightspace.report import audit_page

    (one,) = outcomes
    return audit_page(one.audit, one.card) if one.audit is not None else ""


def _write(path: Path, text: str) -> None:
    from weightspace.disk import inner_of, write_file

    write_file(inner_of(path), text.encode() + b"\n")


def _form(form: str, as_json: bool, known: list[str]) -> str:
    if form not in known:
        raise UsageError("format", f"{form!r} is unknown; known are {', '.join(known)}")
    if as_json and form not in ("text", "json"):
        raise UsageError("--json and --format", "cannot be combined", "give one of them")
    return "json" if as_json else form


def _claims(card: str | None, given: list[str]) -> Claims:
    """The claims of the command line, and those of the card of which it says nothing."""
    from weightspace.audit import Claims, read_claims
    from weightspace.audit.cards import parsed
    from weightspace.audit.claims import gathered

    own = gathered(parsed(text) for text in given)
    return own.over(read_claims(card)) if card is not None else own.over(Claims())


def _audited(
    files: list[str], claims: Claims, card: str, data: str | None, model: Path | None,
    options: dict[str, Any],
) -> list[Outcome]:  # fmt: skip
    """The outcome of each file; one that cannot be read does not keep the others from it."""
    from weightspace.audit import audit as answer_for
    from weightspace.audit.auditing import data_set
    from weightspace.audit.formats import Outcome

    images = data_set(data)
    fitted = None
    if model is not None:
        from weightspace.meta import Model

        fitted = Model.load(model)
    found = []
    for file in files:
        try:
            audited = answer_for(file, claims, data=images, model=fitted, **options)
            found.append(Outcome(audited.file, _in_options(audited), card=card))
        except DataError as error:
            found.append(Outcome(file, error=told(error)))
    return found


def _in_options(found: Audit) -> Audit:
    """An audit whose verdicts name options of the command line as what would decide them."""
    told = (replace(one, decides=as_options(one.decides)) for one in found.verdicts)
    return replace(found, verdicts=tuple(told))


def _sampled(
    file: str, claims: Claims, card: str, data: str, around: str, seconds: float,
    population: Path | None, options: dict[str, Any],
) -> list[Outcome]:  # fmt: skip
    """The outcome of one file with a population around it."""
    from weightspace.audit.around.audit import audit_around
    from weightspace.audit.formats import Outcome
    from weightspace.cli.console import bars

    with bars() as listener:
        audited = audit_around(
            file, claims, data=data, around=around, seconds=seconds, folder=population,
            progress=listener, **options,
        )  # fmt: skip
    return [Outcome(audited.file, _in_options(audited), card=card)]


def _write_space(
    place: Path, file: str, claims: Claims, data: str, around: str, key: str | None
) -> None:
    from weightspace.audit import audit as answer_for
    from weightspace.audit.around.audit import space_for
    from weightspace.audit.auditing import data_set

    images = data_set(data)
    assert images is not None
    found = answer_for(file, claims, data=images, key=key)
    _write(place, space_for(found, claims, images, around).to_yaml().rstrip())
    print(f"wrote {place}; edit it and give it as --around {place}")


def _refuse_without(files: list[str], data: str | None, model: Path | None) -> None:
    if len(files) > 1:
        raise UsageError("--around", "a population is around one net", "give one file")
    if data is None:
        raise UsageError("--around", "nets are trained on the data of the net", "give --data")
    if model is not None:
        raise UsageError("--around and --model", "cannot be combined", "give one of them")


def _seconds(budget: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", budget)
    if match is None:
        raise UsageError("budget", f"{budget!r} is no time", "write it as 20m, 90s or 2h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def _code(outcomes: list[Outcome], decided: bool) -> int:
    """The exit code: the worst of all files."""
    if any(one.error for one in outcomes):
        return 2
    audits = [one.audit for one in outcomes if one.audit is not None]
    wrong = any(one.contradicted or (decided and not one.decided) for one in audits)
    return 1 if wrong else 0
