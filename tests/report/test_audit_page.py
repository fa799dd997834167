"""The page of an audit: what it shows, that it loads nothing, and that hostile text stays text."""

from __future__ import annotations

import base64
import html
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from support.audited import STEPS, state_of
from support.chromium import browse
from support.commands import refused
from support.pages import read
from weightspace.audit import Audit, audit
from weightspace.cli.app import run
from weightspace.evidence import LAWS
from weightspace.report import audit_page
from weightspace.report.auditing.documents import SITE, is_law, page_of

_TAKE = "document.title='taken'"
HOSTILE = f'</style></script><script>{_TAKE}</script><img src=x onerror="{_TAKE}">'
CLAIMS = {"optimizer": "adam", "steps": STEPS, "dropout": 0.1, "batch_size": 40, "epochs": 6,
          "train_images": 1000}  # fmt: skip
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return state_of(tmp_path_factory.mktemp("page"), optimizer=True)


@pytest.fixture(scope="module")
def found(net: Path) -> Audit:
    return audit(net, CLAIMS, traced=True)


@pytest.fixture(scope="module")
def plain(found: Audit) -> str:
    return audit_page(found, "README.md")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a file and of a card of which every text attacks it."""
    folder = tmp_path_factory.mktemp("hostile")
    card = folder / "card.yaml"
    card.write_text(
        json.dumps({HOSTILE: HOSTILE, "optimizer": "adam", "dataset": HOSTILE, "batch_norm": False,
                    "schedule": HOSTILE, "pretrained_from": HOSTILE, "epochs": 5,
                    "batch_size": 64, "train_images": 60000})
    )  # fmt: skip
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(36, 40), nn.BatchNorm1d(40), nn.Linear(40, 10))
    layers(torch.randn(8, 36))
    tensors = {f"{HOSTILE}.{name}": value for name, value in layers.state_dict().items()}
    path = folder / "<script>document.title='taken'<script>.pt"
    content = {"state_dict": tensors, "epoch": 3, HOSTILE: HOSTILE, "args": {HOSTILE: HOSTILE}}
    torch.save(content, path)
    return audit_page(audit(path, card, traced=True), HOSTILE)


def test_verdicts_come_first_with_strength_and_what_would_decide(plain, found):
    reader = read(plain)
    told = " ".join(" ".join(reader.text).split())
    assert "1 of 6 claims is contradicted: optimizer adam" in told
    verdicts = told[: told.index("What the file and the weights show")]
    assert len(found.verdicts) == 6
    for one in found.verdicts:
        assert one.claim.name.replace("_", " ") in verdicts
        assert one.strength in verdicts
        assert one.decides.replace("`", "").partition(":")[0] in verdicts.replace("  ", " ")
    assert verdicts.index("contradicted") < verdicts.index("✓") < verdicts.index("? undecidable")


@pytest.mark.parametrize(
    ("claims", "headline"),
    [
        ({}, "What net.pt says of its training"),
        ({"dropout": 0.1}, "It cannot be told from this file: dropout 0.1"),
        ({"dropout": 0.1, "augmentation": True}, "None of 2 claims can be decided from this file"),
        (
            {"dropout": 0.1, "classes": 10},
            "No claim is contradicted; 1 of 2 is consistent with the weights: classes 10",
        ),
        (
            {"batch_norm": False, "classes": 9},
            "2 of 2 claims are contradicted: batch norm false and classes 9",
        ),
    ],
)
def test_the_headline_is_the_finding(net, claims, headline):
    assert f"<h1>{headline}</h1>" in audit_page(audit(net, claims))


def test_the_evidence_of_every_law_has_its_card_and_its_page(plain, found):
    reader = read(plain)
    links = {a["href"] for tag, a in reader.tags if tag == "a"}
    for law in {one.law for one in found.evidence if not one.missing}:
        assert page_of(law) in links
    anchors = {a["id"] for _, a in reader.tags if "id" in a}
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    for one in found.evidence:
        if not one.missing and one.estimate is None:
            assert html.escape(one.says) in plain.replace("&#39;", "&#x27;")


@pytest.mark.parametrize("law", LAWS)
def test_each_law_has_a_page_in_the_documentation(law):
    assert is_law(law)
    page, _, anchor = page_of(law).removeprefix(SITE).rstrip("/").partition("/#")
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert anchor.replace("-", " ") in text.lower()


def test_the_pictures_are_there_only_with_traces(plain, found, net):
    titles = ("The sums over 10 outputs", f"What makes {STEPS:,} batches", "tested kernel")
    drawn = [title for title in titles if title in plain]
    assert drawn == list(titles)
    without = audit_page(audit(net, CLAIMS))
    assert not any(title in without for title in titles)
    assert plain.count("<svg") >= without.count("<svg") + len(titles)


def test_the_audit_can_be_saved_from_the_page(plain, found):
    link = next(a for tag, a in read(plain).tags if tag == "a" and "download" in a)
    kind, _, body = link["href"].partition("base64,")
    assert kind == "data:application/json;"
    (saved,) = json.loads(base64.b64decode(body))
    assert saved == json.loads(json.dumps(found.to_dict(), default=str))


def test_the_page_loads_nothing_and_has_no_script(plain):
    reader = read(plain)
    for tag, attributes in reader.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "img"), tag
        assert not {"src", "action", "srcset", "data"} & set(attributes), (tag, attributes)
        link = attributes.get("href", "#")
        assert link.startswith(("#", SITE, "data:application/json;")), link
    policy = next(a["content"] for t, a in reader.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
    assert "script-src" not in policy
    style = plain[plain.index("<style>") : plain.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert len(plain) < 300_000


def test_hostile_text_makes_no_element(hostile):
    reader = read(hostile)
    assert not {"script", "img"} & {tag for tag, _ in reader.tags}
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    text = "".join(reader.text)
    # The claim, its value, the card, a tensor's name: each is there, as text.
    assert text.count(_TAKE) >= 4
    assert "1 of 9 claims is contradicted: batch norm false" in text


def test_control_characters_do_not_reach_the_page(tmp_path):
    name = "a\u202eb\x1b[2J\u2066c"
    torch.save({f"{name}.weight": torch.randn(10, 36), f"{name}.bias": torch.randn(10)},
               tmp_path / "net.pt")  # fmt: skip
    page = audit_page(audit(tmp_path / "net.pt", {name: name}, traced=True), name)
    assert "a�b�[2J�c" in page
    assert not {"\u202e", "\x1b", "\u2066"} & set(page)


def test_a_browser_shows_it_and_is_not_taken_over(hostile, tmp_path):
    dom, console = browse(hostile, tmp_path)
    assert console == ""
    assert "<title>taken</title>" not in dom
    assert not any(tag in ("img", "script") for tag, _ in read(dom).tags)


def test_the_command_writes_the_page(net, tmp_path, capsys):
    page, other = tmp_path / "page.html", tmp_path / "other.html"
    assert run(["audit", str(net), "--claim", "optimizer=adam", "--html", str(page)]) == 1
    assert "contradicted  optimizer  adam" in capsys.readouterr().out
    assert "1 of 1 claim is contradicted" in page.read_text(encoding="utf-8")
    assert run(["audit", str(net), "--format", "html", "--out", str(other)]) == 0
    assert capsys.readouterr().out == ""
    assert "What net.pt says of its training" in other.read_text(encoding="utf-8")


def test_a_page_is_that_of_one_file(net, tmp_path, capsys):
    page = tmp_path / "page.html"
    said = refused(capsys, "audit", str(net), str(net), "--html", str(page))
    assert "a page is that of one file" in said
    assert run(["audit", str(tmp_path / "nowhere.pt"), "--html", str(page)]) == 2
    assert not page.exists()


def test_it_needs_neither_torch_nor_a_library_that_draws(net, tmp_path):
    code = (
        "import sys; from weightspace.audit import audit;"
        "from weightspace.report import audit_page;"
        f"audit_page(audit({str(net)!r}, traced=True));"
        "assert not {'torch', 'matplotlib', 'altair', 'vl_convert'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
