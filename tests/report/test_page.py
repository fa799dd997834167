"""The page: self-contained, inert to hostile text, and drawn by a real browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re

import polars as pl
import pytest

from support.chromium import browse
from support.made_up_dissection import DATASETS, PROPERTIES, made_up, training_frame
from support.pages import read
from weightspace.report import page

_TAKE = "document.title='taken'"
HOSTILE = f'</script><script>{_TAKE}</script><img src=x onerror="{_TAKE}">'


@pytest.fixture(scope="module")
def plain() -> str:
    return page(made_up())


@pytest.fixture(scope="module")
def hostile() -> str:
    """A page in which every text that a zoo or its user controls attacks it."""
    whole = made_up()
    names = {"dataset": HOSTILE}
    much = whole.much.frame().with_columns(pl.col("property").replace(names))
    where = whole.where.frame().with_columns(pl.col("property").replace(names))
    when = whole.when.frame().with_columns(pl.col("property").replace(names))
    facts = {"command": HOSTILE, "space": HOSTILE, "datasets": [HOSTILE], HOSTILE: HOSTILE}
    training = training_frame({HOSTILE: 0.9, "mnist": 0.8})
    return page(made_up(much=much, where=where, when=when, training=training, **facts))


def test_the_page_loads_nothing(plain):
    reader = read(plain)
    for tag, attributes in reader.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img"), tag
        assert not {"src", "action", "srcset", "data"} & set(attributes), (tag, attributes)
        assert attributes.get("href", "#").startswith("#"), (tag, attributes)
    style = plain[plain.index("<style>") : plain.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_its_policy_allows_its_own_two_scripts_and_no_request(plain):
    reader = read(plain)
    policy = next(a["content"] for t, a in reader.tags if t == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in policy
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    run = [text for attributes, text in reader.scripts if "type" not in attributes]
    hashes = {base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in run}
    assert hashes == allowed
    assert len(run) == 2
    script_rules = next(rule for rule in policy.split(";") if "script-src" in rule)
    assert "unsafe-inline" not in script_rules


def test_the_chart_library_stands_in_the_page_once(plain):
    assert plain.count("window.vegaEmbed") == 1
    assert 700_000 < len(plain) < 2_000_000


def test_hostile_text_makes_no_element(plain, hostile):
    def tags(text):
        return [tag for tag, _ in read(text).tags]

    reader = read(hostile)
    assert "img" not in tags(hostile)
    assert tags(hostile).count("script") == tags(plain).count("script") == 3
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert HOSTILE in "".join(reader.text)


def test_every_number_is_in_the_page_as_text(plain):
    text = "".join(read(plain).text).replace("\u00a0", " ")
    for name in PROPERTIES:
        assert name.replace("_", " ") in text
    facts = (
        "Filter size is predicted from 5,000 weights with 91 % accuracy (chance 33 %)",
        "Tested on 300 nets",
        "weightspace dissect my-zoo",
        "557,208,000",
        "not shown",
        "numpy 2.3.0",
    )
    for fact in facts:
        assert fact in text


def test_its_data_are_json_without_numbers_that_json_lacks():
    whole = made_up()
    when = whole.when.frame().with_columns(
        pl.when(pl.col("snapshot") == 3).then(float("nan")).otherwise("low").alias("low")
    )
    training = whole.training.frame().with_columns(pl.lit(None, pl.Float64).alias("high"))
    text = page(made_up(when=when, training=training))
    data = next(body for attributes, body in read(text).scripts if attributes.get("id"))

    def refuse(word):
        raise AssertionError(word)

    figures = json.loads(data, parse_constant=refuse)
    assert set(figures) == {"much", "whole", "where", "part", "when", "training"}
    assert len(figures["when"]["rows"]) == 200
    assert figures["when"]["rows"][2]["low"] is None or figures["when"]["rows"][2]["low"] > 0


def test_a_page_without_where_and_when_still_stands():
    whole = made_up()
    text = page(made_up(where=whole.where.frame().clear(), when=whole.when.frame().clear()))
    assert {"much", "whole", "training"} == set(re.findall(r'data-figure="(\w+)"', text))


def test_a_browser_draws_every_chart_without_a_complaint(plain, tmp_path):
    dom, console = browse(plain, tmp_path)
    assert console == ""
    assert 'data-state="ready"' in dom
    assert dom.count('<svg xmlns="http://www.w3.org/2000/svg"') >= 2 + len(DATASETS) + 3 * len(
        PROPERTIES
    )
    drawings = re.findall(r"<svg[^>]*class=\"marks\".*?</svg>", dom, re.S)
    assert len(drawings) == 2 + len(DATASETS) + 3 * len(PROPERTIES)
    for drawing in drawings:
        assert drawing.count("<path") > 10
        assert float(re.search(r'width="([\d.]+)"', drawing)[1]) > 150
    for name in DATASETS:
        assert f"<figcaption>{name.replace('_', ' ')}" in dom
    assert "var(--blue)" in drawings[0]


def test_a_browser_is_not_taken_over_by_hostile_text(hostile, tmp_path):
    dom, console = browse(hostile, tmp_path)
    assert console == ""
    assert 'data-state="ready"' in dom
    assert "<title>taken</title>" not in dom
    assert not any(tag == "img" for tag, _ in read(dom).tags)
    assert html.escape(HOSTILE, quote=False) in dom


def test_properties_can_be_chosen(plain, tmp_path):
    click = """
    window.addEventListener("load", () => {
      const shown = () => document.querySelectorAll("[data-panel]:not([hidden])").length;
      const choose = (what) => document.querySelector(`button[data-choose=${what}]`).click();
      const counts = [shown()];
      for (const what of ["none", "shown", "all"]) { choose(what); counts.push(shown()); }
      document.querySelector("input[name=property]").click();
      document.body.dataset.counts = [...counts, shown()].join(" ");
    });"""
    # The page's own policy would not let the test's script run.
    body, _, end = re.sub("<meta http-equiv[^>]*>", "", plain).rpartition("</body>")
    dom, _ = browse(f"{body}<script>{click}</script></body>{end}", tmp_path)
    n = len(PROPERTIES)
    assert f'data-counts="{3 * n} 0 {3 * (n - 1)} {3 * n} {3 * (n - 1)}"' in dom
