"""Audits as SARIF 2.1.0, which code hosts show beside a change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from weightspace.audit.formats.outcome import Outcome, reason, value_of
from weightspace.audit.verdicts import Verdict
from weightspace.errors import SITE
from weightspace.printable import printable

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_ABOUT = f"{SITE}audit/"
_RULES = {
    "contradicted": ("error", "The file contradicts a claim about its training."),
    "undecidable": ("note", "Nothing in the file decides a claim about its training."),
    "consistent": ("none", "The file agrees with a claim about its training."),
    "unreadable": ("error", "The file cannot be read."),
    "hostile": ("warning", "The file names functions that a pickle would run."),
}
_KINDS = {"contradicted": "fail", "undecidable": "open", "consistent": "pass"}
_LONGEST = 2000  # characters of a message


def sarif(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Audits as a SARIF log with one run.

    Parameters
    ----------
    outcomes : sequence of Outcome
        The audits, or reasons why there are none.

    Returns
    -------
    dict
        A log that the schema of SARIF 2.1.0 accepts. A contradicted claim is an error, where its
        card is known at its line in the card.
    """
    names = list(_RULES)
    rules = [
        {
            "id": name,
            "shortDescription": {"text": said},
            "helpUri": _ABOUT,
            "defaultConfiguration": {"level": level},
        }
        for name, (level, said) in _RULES.items()
    ]
    results = [result for one in outcomes for result in _results(one, names)]
    driver = {
        "name": "weightspace",
        "version": version("weightspace"),
        "informationUri": _ABOUT,
        "rules": rules,
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _results(one: Outcome, names: list[str]) -> Iterator[dict[str, Any]]:
    if one.audit is None:
        yield _result("unreadable", names, one.error, _location(one.file))
        return
    for verdict in one.audit.verdicts:
        yield _of_verdict(verdict, one, names)
    for finding in one.audit.findings:
        if finding.kind == "hostile":
            yield _result("hostile", names, f"{one.file} {finding.text}", _location(one.file))


def _of_verdict(verdict: Verdict, one: Outcome, names: list[str]) -> dict[str, Any]:
    claim = verdict.claim
    said = reason(verdict) or verdict.decides
    message = f"{one.file}: {claim.name} {value_of(verdict)} is {verdict.verdict}"
    message = f"{message} ({verdict.strength}){f': {said}' if said else ''}"
    place, _, line = claim.place.rpartition(":")
    at = _location(place, int(line)) if place and line.isdigit() else _location(one.file)
    found = _result(verdict.verdict, names, message, at)
    found["kind"] = _KINDS[verdict.verdict]
    if found["kind"] != "fail":
        found["level"] = "none"  # as SARIF asks for all that are no failures
    found["relatedLocations"] = [_location(one.file) | {"id": 1}]
    found["properties"] = {
        "claim": claim.name,
        "value": claim.value,
        "strength": verdict.strength,
        "pValue": verdict.p_value,
    }
    found["partialFingerprints"] = {"claim/v1": f"{one.file}:{claim.name}"}
    return found


def _result(rule: str, names: list[str], said: str, at: dict[str, Any]) -> dict[str, Any]:
    return {
        "ruleId": rule,
        "ruleIndex": names.index(rule),
        "level": _RULES[rule][0],
        "message": {"text": printable(said, _LONGEST)},
        "locations": [at],
    }


def _location(file: str, line: int = 0) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(file)}}
    if line:
        place["region"] = {"startLine": line}
    return {"physicalLocation": place}


def _uri(file: str) -> str:
    if "://" in file:
        return quote(file, safe=":/@%?=&")
    path = PurePath(file)
    return f"file://{quote(path.as_posix())}" if path.is_absolute() else quote(path.as_posix())
