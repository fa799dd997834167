"""The page about automation shows what the action, the hooks and the image offer."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from typer.main import get_command

from weightspace.cli.app import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "automation.md").read_text(encoding="utf-8")
WORKFLOW, HOOK = (yaml.safe_load(body) for body in re.findall(r"```yml\n(.*?)```", PAGE, re.S))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def rows(title: str) -> list[str]:
    """The names in the first column of a table."""
    table = PAGE.partition(f"| {title} | what it is |\n|---|---|\n")[2].partition("\n\n")[0]
    return re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)


def test_the_tables_have_every_input_and_output():
    assert rows("input") == list(ACTION["inputs"])
    assert rows("output") == list(ACTION["outputs"])


def test_the_workflow_uses_what_the_action_offers():
    (step,) = [one for one in WORKFLOW["jobs"]["audit"]["steps"] if one.get("id") == "audit"]
    repository = PROJECT["urls"]["Source"].removeprefix("https://github.com/")
    assert step["uses"] == f"{repository}@v{PROJECT['version']}"
    assert set(step["with"]) <= set(ACTION["inputs"])
    used = re.findall(r"steps\.audit\.outputs\.([\w-]+)", str(WORKFLOW))
    assert set(used) <= set(ACTION["outputs"])


def test_the_hook_is_one_of_the_repository():
    (one,) = HOOK["repos"]
    assert (one["repo"], one["rev"]) == (PROJECT["urls"]["Source"], f"v{PROJECT['version']}")
    (hook,) = one["hooks"]
    known = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["id"] in [each["id"] for each in known]
    assert all(f"`{each['id']}`" in PAGE or each["id"] == hook["id"] for each in known)
    get_command(app).commands["audit"].make_context("audit", list(hook["args"]))


def test_versions_on_the_page_are_that_of_the_project():
    assert set(re.findall(r"\bv(\d+\.\d+\.\d+)", PAGE)) == {PROJECT["version"]}
