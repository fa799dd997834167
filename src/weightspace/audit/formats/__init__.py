"""The forms in which audits are written: text, JSON, Markdown, SARIF and CycloneDX."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from weightspace.audit.formats.cyclonedx import bom
from weightspace.audit.formats.markdown import markdown
from weightspace.audit.formats.outcome import Outcome
from weightspace.audit.formats.sarif import sarif
from weightspace.audit.formats.text import text

__all__ = ["FORMATS", "Outcome", "bom", "markdown", "sarif", "text"]


def _documents(outcomes: Sequence[Outcome]) -> str:
    return json.dumps([one.to_dict() for one in outcomes], indent=1, default=str)


def _sarif(outcomes: Sequence[Outcome]) -> str:
    return json.dumps(sarif(outcomes), indent=1, default=str)


def _bom(outcomes: Sequence[Outcome]) -> str:
    return json.dumps(bom(outcomes), indent=1, default=str)


FORMATS: Mapping[str, Callable[[Sequence[Outcome]], str]] = {
    "text": text,
    "json": _documents,
    "markdown": markdown,
    "sarif": _sarif,
    "cyclonedx": _bom,
}
"""Each is a function of the outcomes of all files. To add one, write a function and a line here."""
