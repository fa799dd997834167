"""Pages that list the names of a table list all of them."""

from __future__ import annotations

from pathlib import Path

from weightspace.dissection import ALSO
from weightspace.interop.importing import READERS
from weightspace.learners.registry import CLASSIFIERS
from weightspace.space import PRESETS
from weightspace.space.recipe import FIELDS

DOCS = Path(__file__).parents[2] / "docs"


def test_every_classifier_is_on_its_page() -> None:
    text = (DOCS / "classifiers.md").read_text(encoding="utf-8")
    assert [name for name in CLASSIFIERS if f"`{name}`" not in text] == []


def test_every_optional_analysis_is_in_the_protocol() -> None:
    text = (DOCS / "protocol.md").read_text(encoding="utf-8")
    assert [name for name in ALSO if f"| `{name}` |" not in text] == []


def test_every_format_to_import_is_on_its_page() -> None:
    text = (DOCS / "interop.md").read_text(encoding="utf-8")
    assert [name for name in READERS if f"--format {name}`" not in text] == []


def test_every_preset_and_hyper_parameter_is_on_the_page_of_spaces() -> None:
    text = (DOCS / "spaces.md").read_text(encoding="utf-8")
    rows = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    assert [name for name in (*PRESETS, *FIELDS) if f"`{name}`" not in rows] == ["seed"]
