"""The output of audits: checked with the official schemas, and read as a person reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from jsonschema import Draft4Validator, Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from support.audited import state_of
from weightspace.audit import audit
from weightspace.audit.formats import FORMATS, Outcome, bom, markdown, sarif, text

SCHEMAS = Path(__file__).parent / "schemas"
CLAIMS = {"optimizer": "adam", "batch_norm": True, "dropout": 0.5, "colour": "red | <b>\x1b[2J"}


def schema(name: str) -> dict:
    return json.loads((SCHEMAS / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """A file with all three verdicts, one without claims, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("formats")
    path = state_of(folder, optimizer=True, epoch=3)
    (folder / "card.yaml").write_text(
        "optimizer: adam\nbatch_norm: true\ndropout: 0.5\ncolour: red\n"
    )
    return [
        Outcome(str(path), audit(path, folder / "card.yaml", hashed=True), card="card.yaml"),
        Outcome(str(path), audit(path)),
        Outcome("no|where.pt", error="no|where.pt: no such file"),
    ]


def test_sarif_is_valid(outcomes):
    log = json.loads(FORMATS["sarif"](outcomes))
    Draft4Validator(schema("sarif-schema-2.1.0.json")).validate(log)
    results = log["runs"][0]["results"]
    rules = [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]]
    assert all(rules[one["ruleIndex"]] == one["ruleId"] for one in results)
    found = {one.get("properties", {}).get("claim"): one for one in results}
    wrong = found["optimizer"]
    assert (wrong["level"], wrong["kind"], wrong["ruleId"]) == ("error", "fail", "contradicted")
    place = wrong["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("/card.yaml")
    assert place["region"] == {"startLine": 1}
    assert found["dropout"]["kind"] == "open"
    assert found["batch_norm"]["kind"] == "pass"
    assert [one["ruleId"] for one in results if one["level"] == "error"] == [
        "contradicted", "unreadable",
    ]  # fmt: skip


def test_the_schema_notices_what_is_wrong(outcomes):
    log = sarif(outcomes)
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert not Draft4Validator(schema("sarif-schema-2.1.0.json")).is_valid(log)


def test_the_bill_of_materials_is_valid(outcomes):
    parts = [schema(name) for name in ("jsf-0.82.schema.json", "spdx.schema.json")]
    registry = Registry().with_resources([(part["$id"], Resource(part, DRAFT7)) for part in parts])
    validator = Draft7Validator(schema("bom-1.6.schema.json"), registry=registry)
    found = json.loads(FORMATS["cyclonedx"](outcomes))
    validator.validate(found)
    first, second = found["components"]
    assert first["type"] == "machine-learning-model"
    assert first["hashes"][0]["alg"] == "SHA-256"
    assert "hashes" not in second
    said = {one["name"]: one["value"] for one in first["properties"]}
    assert said["weightspace:claim:optimizer:verdict"] == "contradicted"
    assert said["weightspace:claim:optimizer"] == "adam"
    assert said["weightspace:parameters:conv"] == "40"
    assert "no|where.pt: no such file" in found["metadata"]["properties"][0]["value"]
    wrong = bom(outcomes)
    wrong["components"][0]["type"] = "net"
    assert not validator.is_valid(wrong)


def test_json_is_one_object_a_file(outcomes):
    first, second, third = json.loads(FORMATS["json"](outcomes))
    assert [one["verdict"] for one in first["verdicts"]] == [
        "contradicted", "consistent", "undecidable", "undecidable",
    ]  # fmt: skip
    assert second["verdicts"] == []
    assert third == {"file": "no|where.pt", "error": "no|where.pt: no such file"}


def test_markdown_has_a_table_and_means_nothing_but_itself(outcomes, tmp_path):
    found = markdown(outcomes)
    rows = [line for line in found.splitlines() if line.startswith("| ")]
    assert rows[0] == "| | claim | value | verdict | evidence |"
    assert rows[1].startswith("| ❌ | optimizer | adam | **contradicted**: exact |")
    assert "no\\|where.pt" in found
    path = Path(outcomes[0].file)
    hostile = markdown([Outcome(str(path), audit(path, CLAIMS))])
    assert "<b>" not in hostile
    assert "\x1b" not in hostile
    assert all(line.replace("\\|", "").count("|") == 6 for line in hostile.splitlines()
               if line.startswith("| "))  # fmt: skip


@pytest.mark.parametrize("width", [40, 80, 120])
def test_text_is_aligned_and_fits(outcomes, width):
    found = text(outcomes, width)
    lines = found.splitlines()
    assert all(len(line) <= width for line in lines[1:] if "/" not in line), found
    verdicts = [line for line in lines if line.startswith(("contradicted", "consistent", "undec"))]
    assert [line.split()[0] for line in verdicts] == [
        "contradicted", "consistent", "undecidable", "undecidable",
    ]  # fmt: skip
    assert len({line.index(name) for line, name in zip(
        verdicts, ("optimizer", "batch_norm", "dropout", "colour"), strict=True)}) == 1  # fmt: skip
    assert "what else can be said" in found
    assert "what can be said, most certain first" in found


def test_text_does_not_steer_the_terminal(tmp_path):
    torch.manual_seed(0)
    names = {"a\x1b[2J.weight": torch.randn(4, 8), "a\x1b[2J.bias": torch.randn(4)}
    torch.save(names, tmp_path / "net.pt")
    found = audit(tmp_path / "net.pt", CLAIMS)
    for form, write in FORMATS.items():
        said = write([Outcome("net\x1b.pt", found)])
        assert "\x1b" not in said, form
