"""What a notebook shows of public results: their numbers, as text that nothing can run."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
import torch
from torch import nn

import weightspace as ws
from support.made_up_dissection import whole
from support.populations import synthetic_zoo
from weightspace.audit import audit
from weightspace.evidence import Comparison, Evidence, Hypothesis, compare
from weightspace.evidence.comparison import TensorPair
from weightspace.markup import summary
from weightspace.meta import Answer
from weightspace.sampling.reproduction import Difference, Reproduction

ATTACK = "<script>alert(1)</script>\x1b[2J"


def shown(result: object) -> str:
    """The text of what is shown, without its elements."""
    html = result._repr_html_()
    assert not re.search(r"<(?!/?(div|b|table|thead|tbody|tr|td|th|p)>)", html), html[:300]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> ws.Zoo:
    return synthetic_zoo(tmp_path_factory.mktemp("shown") / "zoo", nets=30)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("shown") / "net.pt"
    net = nn.Sequential(nn.Linear(36, 40), nn.BatchNorm1d(40), nn.ReLU(), nn.Linear(40, 10))
    torch.save(net.state_dict(), path)
    return path


def test_text_is_escaped_and_long_tables_are_cut() -> None:
    html = summary(ATTACK, [(ATTACK, ATTACK)], [ATTACK], [[ATTACK]], ATTACK)
    assert html.count("&lt;script&gt;") == 6
    assert "<script" not in html
    assert "\x1b" not in html
    many = summary("a", (), ("n",), [(i,) for i in range(60)])
    assert many.count("<tr>") == 51
    assert "and 10 more rows" in many


def test_a_zoo_its_space_a_recipe_and_a_study(zoo: ws.Zoo) -> None:
    text = shown(zoo)
    assert "nets 30 " in text
    assert "snapshots of a net 5 " in text
    assert "optimizer adam, momentum, rmsprop" in text
    assert "learning_rate 0.000" in text
    assert "optimizer [adam, rmsprop, momentum]" in shown(zoo.space)
    recipe = ws.Recipe(dataset=ATTACK, epochs=7, seed=2_568_142_161)
    assert "seed 2568142161" in shown(recipe)
    assert "epochs 7" in shown(recipe)
    assert "batch_size" not in shown(recipe)
    study = ws.Study.of(zoo, properties=["optimizer"], slice_length=1000)
    assert "optimizer adam, rmsprop, momentum" in shown(study)


def test_a_model_and_its_answers(zoo: ws.Zoo, file: Path) -> None:
    model = ws.fit(zoo, properties=("initialization",), classifier="shallow", slice_length=500)
    (ability,) = model.readers[0].abilities
    assert f"{ability.accuracy:.4g}" in shown(model)
    net = zoo.nets["net"][0]
    answer = model.predict(zoo.vector(net), zoo.layout(net))
    assert f"{answer.readings['initialization'].probability:.4g}" in shown(answer)
    text = shown(ws.predict(model, file))
    assert str(file) in text
    assert "outside of the population" in text
    assert isinstance(answer, Answer)


def test_a_checkpoint_an_inspection_and_an_audit(file: Path) -> None:
    assert "0.weight 40x36 float32 true" in shown(ws.read_checkpoint(file))
    assert "architecture MLP" in shown(ws.inspect(file))
    found = audit(file, {"batch_norm": False, "dropout": 0.1})
    text = shown(found)
    for one in found.verdicts:
        assert f"{one.verdict} {one.claim.name}" in text
    assert "contradicted batch_norm false" in text
    assert "undecidable dropout 0.1" in text


def test_evidence_and_comparisons(file: Path) -> None:
    evidence = Evidence("law", "optimizer", ATTACK, hypotheses=(Hypothesis(("adam",), 0.03),))
    assert "adam 0.03" in shown(evidence)
    assert "not applicable too small" in shown(Evidence("law", "a", "b", missing="too small"))
    found = compare(file, file)
    assert f"verdict {found.verdict}" in shown(found)
    pair = TensorPair("w", "w", (3, 3), "related", 0.5, 0.01)
    text = shown(Comparison("a", "b", "undecidable", "none", ("no",), tensors=(pair,)))
    assert "w w 3x3 related 0.5 0.01" in text
    assert "strength" not in text


def test_evaluations_dissections_and_their_parts() -> None:
    found = whole()
    row = found.much.frame().row(0, named=True)
    assert f"{row['property']} {row['classifier']}" in shown(found.much)
    assert f"{row['property']} {row['classifier']}" in shown(found)
    assert f"{found.where.table.height:,} rows" in shown(found.where)
    assert found.numbers.table["target"][0] in shown(found.numbers)


def test_a_reproduction() -> None:
    assert "equal false" in shown(Reproduction("a", 4, (Difference(1, 0, 0.5, 0.1, False),)))
