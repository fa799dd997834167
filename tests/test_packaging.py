"""What a release is made of agrees: README, metadata, citation, and GitHub's workflows."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import weightspace

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Source"]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))

# Markdown's `[text](target)`, `![text](target)` and `[name]: target`, and what HTML points to.
TARGET = re.compile(
    r"""\]\(\s*([^)\s]+)|^\s*\[[^]]+\]:\s*(\S+)|\b(?:href|src)=["']?([^"'\s>]+)""", re.M
)


def targets(text: str) -> list[str]:
    """What the links and images of a Markdown text point to, code left out."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return ["".join(groups) for groups in TARGET.findall(re.sub(r"`[^`\n]*`", "", text))]


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job.get("steps", ())]


def test_targets_of_every_kind_are_found():
    text = '[a](b) ![c](d "e")\n[f]: g\n<img src="h"> `[i](j)`\n```\n[k](l)\n```\n[m]( n)\n'
    assert targets(text) == ["b", "d", "g", "h", "n"]


def test_readme_shows_everywhere():
    """PyPI shows the README without the repository around it, so no target may be relative."""
    assert targets(README)
    assert [target for target in targets(README) if not target.startswith("https://")] == []


def test_readme_points_to_files_of_the_repository():
    raw = REPOSITORY.replace("github.com", "raw.githubusercontent.com")
    places = (f"{REPOSITORY}/blob/main/", f"{REPOSITORY}/tree/main/", f"{raw}/main/")
    found = [
        target.removeprefix(place).partition("#")[0]
        for target in targets(README)
        for place in places
        if target.startswith(place)
    ]
    assert found
    assert [name for name in found if not (ROOT / name).exists()] == []


def test_versions_agree():
    assert str(load(ROOT / "CITATION.cff")["version"]) == PROJECT["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## \[(.*?)\]", changes, re.MULTILINE)
    assert sections[:2] == ["Unreleased", PROJECT["version"]]  # conda's recipe has its own test


def test_what_ends_worker_processes_is_installed():
    """Where psutil and pgrep were missing, as in slim images, `sample` waited for them for ever."""
    assert [one for one in PROJECT["dependencies"] if one.startswith("psutil")]


def test_workflows_are_there():
    assert {path.stem for path in WORKFLOWS} == {"docs", "release", "tests", "wheels"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_names_targets_of_make_that_exist(path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([\w-]+):(?!=)", makefile, re.MULTILINE))
    commands = [step["run"] for step in steps(load(path)) if "run" in step]
    named = {name for run in commands for name in re.findall(r"^\s*make ([\w-]+)", run, re.M)}
    assert named == {"tests": {"test"}, "docs": {"docs"}}.get(path.stem, set())
    assert named <= known


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_do_little_and_pins_what_it_uses(path):
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"].startswith(path.stem)
    for step in steps(workflow):
        if "uses" in step:
            assert re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}", step["uses"])
    for job in workflow["jobs"].values():
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file()


def test_only_the_job_that_publishes_is_known_to_pypi():
    jobs = load(GITHUB / "workflows" / "release.yml")["jobs"]
    (publishing,) = [job for job in jobs.values() if "id-token" in job.get("permissions", {})]
    assert publishing["environment"]["name"] == "pypi"
    assert set(publishing["needs"]) == {"tests", "wheels"}


def test_every_python_that_is_promised_is_tested():
    promised = {
        classifier.rpartition(" ")[2]
        for classifier in PROJECT["classifiers"]
        if re.search(r":: 3\.\d+$", classifier)
    }
    (job,) = load(GITHUB / "workflows" / "tests.yml")["jobs"].values()
    assert set(job["strategy"]["matrix"]["python"]) == promised


def test_a_bug_report_asks_for_what_is_needed():
    form = load(GITHUB / "ISSUE_TEMPLATE" / "bug.yml")
    required = {part["id"] for part in form["body"] if part.get("validations", {}).get("required")}
    assert {"version", "command", "error", "debug"} <= required
    links = load(GITHUB / "ISSUE_TEMPLATE" / "config.yml")["contact_links"]
    assert f"{REPOSITORY}/blob/main/SECURITY.md" in [link["url"] for link in links]


def test_the_version_is_that_of_the_installed_package():
    assert weightspace.__version__ == importlib.metadata.version("weightspace")
