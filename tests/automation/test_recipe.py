"""The recipe for conda-forge says what pyproject.toml says, and conda's own tool can read it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PATH = ROOT / "conda" / "recipe.yaml"
RECIPE = yaml.safe_load(PATH.read_text(encoding="utf-8"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
OTHER_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""What packages of PyPI are called on conda-forge, where it is something else."""


def parts(requirement: str) -> tuple[str, str]:
    """The name and the versions of a requirement."""
    return re.fullmatch(r"([\w.-]+) *(.*)", requirement.partition("#")[0].strip()).groups()


def test_version_and_requirements_are_those_of_the_project():
    assert RECIPE["context"]["version"] == PROJECT["version"]
    wanted = dict(map(parts, PROJECT["dependencies"]))
    wanted = {OTHER_NAMES.get(name, name): versions for name, versions in wanted.items()}
    wanted["python"] = PROJECT["requires-python"]
    assert dict(map(parts, RECIPE["requirements"]["run"])) == wanted
    host = dict(map(parts, RECIPE["requirements"]["host"]))
    build = dict(map(parts, PYPROJECT["build-system"]["requires"]))
    assert host == build | {"python": "", "pip": ""}
    (oldest,) = re.findall(r">=([\d.]+)", PROJECT["requires-python"])
    assert f'match(python, "<{oldest}")' in RECIPE["build"]["skip"]


def test_what_it_installs_is_what_the_project_installs():
    (command,) = RECIPE["build"]["python"]["entry_points"]
    assert dict([command.split(" = ")]) == PROJECT["scripts"]
    assert RECIPE["about"]["license"] == PROJECT["license"]
    assert [RECIPE["about"]["license_file"]] == PROJECT["license-files"]
    assert RECIPE["about"]["homepage"] == PROJECT["urls"]["Homepage"]
    assert (PATH.parent / RECIPE["source"]["path"]).resolve() == ROOT


@pytest.mark.slow
def test_conda_renders_it():
    why = "pip install py-rattler-build brings the tool that renders recipes"
    tool = pytest.importorskip("rattler_build", reason=why)
    pins = {
        "c_stdlib": ["sysroot"],
        "cxx_compiler": ["gxx"],
        "python": ["3.11.*", "3.13.*"],
    }
    recipe = tool.Stage0Recipe.from_file(PATH)
    rendered = recipe.render(tool.VariantConfig(pins))
    assert len(rendered) == 2  # one for each Python, since the native step is compiled
    for each in rendered:
        package = each.recipe.package
        assert (package.name, str(package.version)) == ("weightspace", PROJECT["version"])
        run = [str(one) for one in each.recipe.requirements.run]
        assert run == RECIPE["requirements"]["run"]
