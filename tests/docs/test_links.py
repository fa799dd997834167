"""Links between pages lead somewhere, to the heading; the slow tests build the site and ask it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from support.links import DOCS, ROOT, anchors, dead, links, prose, sources

BASE = "https://weightspace.github.io/weightspace/"


def test_links_between_pages_lead_to_a_page_and_a_heading():
    pages = sources()
    known = {path.resolve(): anchors(prose(path)) for path in pages if path.is_relative_to(DOCS)}
    found = {path.relative_to(ROOT).as_posix(): missing for path in pages
             if (missing := dead(path, known))}  # fmt: skip
    assert not found
    assert sum(len(links(prose(path))) for path in pages) > 200


def test_a_dead_link_is_noticed(tmp_path):
    page = tmp_path / "a.md"
    page.write_text(
        "# A `b` & c\n\n## Twice\n\n## Twice\n\n[1](#a-b-c) [2](#twice_1) [3](#twice_2) [4](b.md)\n"
        "![5](c.png) `[6](d.md)`\n```\n# no heading\n[7](e.md)\n```\n",
        encoding="utf-8",
    )
    known = {page.resolve(): anchors(prose(page))}
    assert known[page.resolve()] == ["a-b-c", "twice", "twice_1"]
    assert dead(page, known) == ["#twice_2", "b.md", "c.png"]


# ---- the site


@dataclass
class Page(HTMLParser):
    """What a page of the site links to, loads, and can be linked to."""

    links: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        values = {name: value for name, value in attrs if value}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag in ("a", "area") and "href" in values:
            self.links.add(values["href"])
        elif tag == "link":
            if values.get("rel") not in ("canonical", "edit"):
                self.loads.add(values["href"])
        else:
            self.loads |= {values[name] for name in ("src", "data", "poster") if name in values}
            styles = re.findall(r"url\([\"']?([^)\"']+)", values.get("style", ""))
            self.loads |= set(styles)


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for package in ("mkdocs", "material", "mkdocstrings", "nbconvert"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"install the extra docs: {package} is missing")
    out = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
        timeout=1800, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return out


@pytest.fixture(scope="module")
def pages(site):
    return {path: read(path) for path in sorted(site.rglob("*.html"))}


def place_of(site: Path, page: Path, target: str) -> tuple[Path, str] | None:
    """The file and the anchor to which a link leads; None if it leads out of the site."""
    if target.startswith(BASE):
        target = "/weightspace/" + target.removeprefix(BASE)
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    path = unquote(parts.path)
    if path.startswith("/"):  # of the page for missing pages
        place = site / path.removeprefix("/weightspace/")
    else:
        place = (page.parent / path).resolve() if path else page
    return (place / "index.html" if place.is_dir() else place), unquote(parts.fragment)


@pytest.mark.slow
def test_every_link_and_anchor_of_the_site_is_there(site, pages):
    missing, seen = [], 0
    for path, page in pages.items():
        for target in sorted(page.links | page.loads):
            found = place_of(site, path, target)
            if found is None:
                continue
            place, anchor = found
            seen += 1
            there = place.is_file()
            if there and anchor and place in pages:
                there = anchor in pages[place].ids
            if not there:
                missing.append((path.relative_to(site).as_posix(), target))
    assert not missing
    assert seen > 5000


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site, pages):
    outside = {
        (path.relative_to(site).as_posix(), target)
        for path, page in pages.items()
        for target in page.loads
        if not target.startswith("data:") and place_of(site, path, target) is None
    }
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        asked = re.findall(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^)\"']+)", text)
        outside |= {(path.relative_to(site).as_posix(), target) for target in asked}
    assert not outside
    # The theme's script asks GitHub for the number of stars where a page has this component.
    asking = [path for path in pages if 'data-md-component="source"' in path.read_text("utf-8")]
    assert not asking


@pytest.mark.slow
def test_headings_have_the_anchors_that_the_quick_test_takes(site, pages):
    for path in sources():
        if path.is_relative_to(DOCS) and path.parent.name != "reference":
            name = path.relative_to(DOCS).with_suffix("").as_posix().removesuffix("index")
            built = pages[(site / name / "index.html").resolve()]
            assert set(anchors(prose(path))[1:]) <= built.ids, name


def test_warnings_about_links_are_on():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    validation = yaml.safe_load(re.findall(r"^validation:.*?(?=^\w)", text, re.M | re.S)[0])
    rules = validation["validation"]
    assert {*rules["links"].values(), *rules["nav"].values()} == {"warn"}
    assert {"not_found", "anchors", "absolute_links"} <= set(rules["links"])
