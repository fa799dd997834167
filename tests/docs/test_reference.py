"""The reference documents every public name, and only what can be imported."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import weightspace

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "reference").glob("*.md"))
DIRECTIVES = [
    (page.name, path)
    for page in PAGES
    for path in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
]


def found(path: str) -> object:
    """What a directive names: where a module and another thing share a name, the module."""
    try:
        return import_module(path)
    except ModuleNotFoundError:
        home, _, name = path.rpartition(".")
        return getattr(found(home), name)


@pytest.mark.parametrize("path", [path for _, path in DIRECTIVES])
def test_directives_name_what_is_there(path):
    assert not isinstance(found(path), ModuleType), f"{path} is a module; add the name in it"


def test_nothing_is_documented_twice():
    paths = [path for _, path in DIRECTIVES]
    assert len(paths) == len(set(paths))


def test_every_public_name_is_documented_and_in_the_table():
    documented = {path.rpartition(".")[2]: path for _, path in DIRECTIVES}
    table = (ROOT / "docs" / "reference" / "index.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[`(\w+)`\]\[([\w.]+)\] \|", table, re.MULTILINE))
    assert sorted(rows) == weightspace.__all__
    for name in weightspace.__all__:
        assert found(documented[name]) is getattr(weightspace, name), name
        assert rows[name] == documented[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_public_names_of_the_sub_package_are_documented(page):
    if page.stem == "index":
        pytest.skip("the names of the package itself")
    room = import_module(f"weightspace.{page.stem}")
    documented = {path.rpartition(".")[2] for _, path in DIRECTIVES}
    assert set(getattr(room, "__all__", ())) - documented == set()


def leaves(entries):
    """The pages of a navigation, whatever their groups."""
    for each in entries:
        if isinstance(each, str):
            yield each
        elif isinstance(below := next(iter(each.values())), str):
            yield below
        else:
            yield from leaves(below)


def test_every_page_is_in_the_navigation_and_on_the_front_page():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (nav,) = re.findall(r"^nav:\n(?:[ ]+.*\n)+", text, re.MULTILINE)
    entries = yaml.safe_load(nav)["nav"]
    pages = list(leaves(entries))
    assert pages[:2] == ["index.md", "start.md"]
    assert len(pages) == len(set(pages))
    docs = ROOT / "docs"
    written = [*docs.glob("*.md"), *docs.glob("*/*.md"), *docs.glob("notebooks/*.ipynb")]
    assert {path.relative_to(docs).as_posix() for path in written} == set(pages)
    front = (docs / "index.md").read_text(encoding="utf-8")
    below = ("index.md", "laws/", "reference/")
    plain = [page for page in pages if not page.startswith(below)]
    assert [page for page in (*plain, "reference/index.md") if f"]({page}" not in front] == []
    laws = (docs / "laws.md").read_text(encoding="utf-8")
    assert [page for page in pages if page.startswith("laws/") and f"]({page}" not in laws] == []
