"""The page of audits names every claim and every format."""

from __future__ import annotations

from pathlib import Path

from weightspace.audit.formats import FORMATS
from weightspace.audit.spelling import KEYS

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")


def test_every_claim_and_format_is_on_the_page():
    rows = " ".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))
    assert [name for name in (*KEYS, *FORMATS) if f"`{name}`" not in rows] == []
