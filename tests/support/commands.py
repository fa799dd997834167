"""Commands run in this process, and what they say."""

from __future__ import annotations

import json

import pytest

from weightspace.cli.app import run


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail as the user's mistake; its one line."""
    code = run([str(argument) for argument in arguments])
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert code == 2, said.err
    assert len(lines) == 1, said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    return lines[0]


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must succeed; what it printed."""
    code = run([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out


def document(capsys: pytest.CaptureFixture[str], *arguments: object) -> object:
    """The JSON document that a command prints."""
    return json.loads(printed(capsys, *arguments, "--json"))
