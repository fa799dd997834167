"""The page that leads to a command names commands and options that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import typer

from weightspace.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "start.md"
PERSONAS = ("I study the weight space", "I check checkpoints", "I teach")


def test_every_command_of_the_page_can_be_typed():
    text = PAGE.read_text(encoding="utf-8")
    commands = typer.main.get_command(app).commands
    asked = re.findall(r"^\$ weightspace (.*)$", text, re.MULTILINE)
    for line in asked:
        name, *words = shlex.split(line)
        command = commands[name]
        if hasattr(command, "commands"):  # a group
            command = command.commands[words[0]]
        known = {option for one in command.params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
    assert {"demo", "sample", "evaluate", "inspect", "audit", "compare"} <= {
        line.split()[0] for line in asked
    }


def test_every_question_has_a_command_and_a_page():
    text = PAGE.read_text(encoding="utf-8")
    parts = dict(
        zip(*[iter(re.split(r"^## (.*)$", text, flags=re.MULTILINE)[1:])] * 2, strict=True)
    )
    assert tuple(parts) == PERSONAS
    for part in parts.values():
        questions = re.findall(
            r"^\*\*[^*]+\?[^*]*\*\*\n\n```console\n\$ weightspace .+\n```\n\nRead on: .*\]\(",
            part,
            re.MULTILINE,
        )
        assert len(questions) == part.count("```console") >= 4
