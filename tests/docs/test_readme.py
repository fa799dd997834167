"""What the README shows is what the commands print, and what the tables of results say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from weightspace.cli.app import run

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def audits() -> list[str]:
    """The blocks of the README that show an audit."""
    blocks = re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if "$ weightspace audit " in block]


def follow(shown: list[str], printed: list[str]) -> str | None:
    """The first shown line that is not printed after those before; None if there is none.

    A line that ends with " ..." is the beginning of one. A line "..." stands for any lines.
    """
    at = 0
    for line in shown:
        if line == "...":
            continue
        start = line.removesuffix(" ...")
        fits = [i for i, one in enumerate(printed[at:], at) if one.startswith(start)]
        if not fits or (line == start and printed[fits[0]] != line):
            return line
        at = fits[0] + 1
    return None


def test_the_audit_is_what_the_command_prints(capsys, monkeypatch):
    (block,) = audits()
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(ROOT)
    shown: list[str] = []
    for line in block.splitlines():
        if not line.startswith("$ "):
            shown.append(line)
            continue
        command, *words = shlex.split(line.removeprefix("$ "))
        if command == "cd":
            monkeypatch.chdir(*words)
        else:
            assert run(words) == 1  # a claim is contradicted
    printed = capsys.readouterr().out.splitlines()
    assert len([line for line in shown if line]) > 5
    assert follow(shown, printed) is None


def test_a_line_that_is_not_printed_is_noticed():
    printed = ["a b", "", "c d e", "f"]
    assert follow(["a b", "", "c d ...", "..."], printed) is None
    assert follow(["a b", "..."], printed) is None
    assert follow(["a"], printed) == "a"
    assert follow(["f", "c d e"], printed) == "c d e"
    assert follow(["c e ..."], printed) == "c e ..."


def test_the_table_has_rows_of_the_stored_results():
    rows = re.findall(r"^\| \w+ \| \*\*.*$", README, re.MULTILINE)
    assert len(rows) > 3
    stored = (ROOT / "docs/results/five-sets/table.md").read_text(encoding="utf-8").splitlines()
    assert [row for row in rows if row not in stored] == []


@pytest.mark.parametrize("words", ["Audit", "Dissect", "make demo", "make test"])
def test_what_it_does_stands_near_the_top(words):
    assert words in "\n".join(README.splitlines()[:90])
