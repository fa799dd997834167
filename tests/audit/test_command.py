"""The command `audit`: what a person types, the exit code, and files that are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.audited import STEPS, state_of
from support.commands import refused
from weightspace.cli.app import run


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return state_of(tmp_path_factory.mktemp("command"), optimizer=True)


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run(["audit", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_exit_code(net, tmp_path, capsys):
    true, false, open_ = f"steps={STEPS}", "optimizer=adam", "dropout=0.1"
    nowhere = tmp_path / "nowhere.pt"
    for arguments, code in (
        ([net], 0),
        ([net, "--claim", true], 0),
        ([net, "--claim", open_], 0),
        ([net, "--claim", open_, "--require", "decided"], 1),
        ([net, "--claim", true, "--require", "decided"], 0),
        ([net, "--claim", false], 1),
        ([net, "--claim", true, "--claim", false], 1),
        ([nowhere], 2),
        ([nowhere, net, "--claim", false], 2),
    ):
        assert ran(capsys, *arguments)[0] == code, arguments


def test_a_file_that_cannot_be_read_does_not_hide_the_others(net, tmp_path, capsys):
    code, out, err = ran(capsys, tmp_path / "nowhere.pt", net, "--claim", "optimizer=adam")
    assert code == 2
    assert err.splitlines() == [f"error: {tmp_path / 'nowhere.pt'}: no such file"]
    assert "contradicted  optimizer  adam" in out
    code, out, _ = ran(capsys, tmp_path / "nowhere.pt", net, "--json")
    first, second = json.loads(out)
    assert list(first) == ["file", "error"]
    assert second["file"] == str(net)


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html"])
def test_what_would_decide_a_claim_names_options(net, capsys, form):
    out = ran(capsys, net, "--claim", "dropout=0.1", "--format", form)[1]
    assert "--around auto" in out
    assert "--data NAME.npz" in out
    assert "around=" not in out


def test_the_command_line_comes_before_the_card(net, tmp_path, capsys):
    card = tmp_path / "card.yaml"
    card.write_text("optimizer: adam\nbatch_norm: true\n")
    code, out, _ = ran(capsys, net, "--claims", card, "--json")
    assert code == 1
    places = [one["place"] for one in json.loads(out)[0]["verdicts"]]
    assert places == [f"{card}:1", f"{card}:2"]
    code, out, _ = ran(capsys, net, "--claims", card, "--claim", "optimizer=sgd", "--json")
    assert code == 0
    (found,) = json.loads(out)
    assert {one["claim"]: one["value"] for one in found["verdicts"]} == {
        "optimizer": "sgd", "batch_norm": True,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["text", "json", "sarif", "cyclonedx", "markdown"])
def test_every_format_is_written_to_a_file(net, tmp_path, capsys, form):
    out = tmp_path / "out"
    code, said, _ = ran(capsys, net, "--format", form, "--out", out, "--claim", "optimizer=sgd")
    assert (code, said) == (0, "")
    written = out.read_text(encoding="utf-8")
    assert "optimizer" in written
    if form not in ("text", "markdown"):
        json.loads(written)
    if form == "cyclonedx":
        assert "SHA-256" in written


def test_bad_usage_is_one_line(net, tmp_path, capsys):
    for arguments, message in (
        (["--format", "xml"], "format: 'xml' is unknown; known are text, json, markdown"),
        (["--format", "sarif", "--json"], "cannot be combined"),
        (["--claim", "optimizer"], "claim: 'optimizer' is no claim; write it as in optimizer=sgd"),
        (["--claim", "lr=fast"], "learning_rate: 'fast' is not a positive number"),
        (["--claim", "lr=1", "--claim", "learning_rate=2"], "another value is already given"),
        (["--claims", tmp_path / "no.yaml"], "no.yaml: no such file"),
        (["--require", "luck"], "require: 'luck' is unknown; known is decided"),
        (["--data", "nosuchset"], "'nosuchset': is not an image set"),
        (["--seeds", -1], "seeds"),
    ):
        assert message in refused(capsys, "audit", net, *arguments)
    assert "audit" in refused(capsys, "audit")
