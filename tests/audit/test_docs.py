"""The page of audits names every claim and every format, and its snippets are what they say."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from weightspace.audit.formats import FORMATS
from weightspace.audit.spelling import KEYS

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")


def test_every_claim_and_format_is_on_the_page():
    rows = " ".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))
    assert [name for name in (*KEYS, *FORMATS) if f"`{name}`" not in rows] == []


def test_the_snippets_are_yaml_and_run_commands_that_exist():
    snippets = [yaml.safe_load(body) for body in re.findall(r"```yml\n(.*?)```", PAGE, re.S)]
    workflow, hook = snippets
    steps = workflow["jobs"]["audit"]["steps"]
    commands = [step["run"] for step in steps if "weightspace audit" in step.get("run", "")]
    assert len(commands) == 2
    entry = hook["repos"][0]["hooks"][0]["entry"]
    for command in (*commands, entry):
        for option in re.findall(r"--[a-z]+", command):
            assert option in ("--claims", "--format", "--out")
        form = re.search(r"--format (\w+)", command)
        assert form is None or form[1] in FORMATS
