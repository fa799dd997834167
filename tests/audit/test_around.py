"""Populations around a checkpoint: the space, what is seen in nets, what it means for claims."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from weightspace.audit import Claims, audit
from weightspace.audit.around import looking
from weightspace.audit.around.audit import audit_around, space_for
from weightspace.audit.around.behaviour import Behaviour, Shown
from weightspace.audit.around.looking import Around, AroundReader, initial_weights
from weightspace.audit.around.nets import Nets
from weightspace.audit.around.population import FEWEST, population
from weightspace.audit.around.rates import Rate, RateModel
from weightspace.audit.around.rows import Sights
from weightspace.audit.around.space import USUAL, space_around, with_dropout
from weightspace.audit.around.weighing import readings_of, weighed
from weightspace.checkpoints import read_checkpoint
from weightspace.errors import UsageError
from weightspace.images import load
from weightspace.learners.estimators import Boosted, Kernel, Linear
from weightspace.learners.together import Together
from weightspace.meta.model.answer import Reading
from weightspace.networks.chains import chain, written
from weightspace.networks.sequential import state_dict
from weightspace.space import load_space

NET = "net.pt"
BUDGET = 3.0
"""Seconds in which a slow machine samples the fewest nets, too."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with images of real digits, and a small net that a plain loop trained on them."""
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("around")
    digits = load_digits()
    x, y = (digits.images * 255 / 16).astype(np.uint8), digits.target
    np.savez(folder / "scans.npz", x_train=x[:600], y_train=y[:600], x_test=x[600:900],
             y_test=y[600:900])  # fmt: skip
    torch.manual_seed(3)
    net = plain_net()
    images, labels = torch.from_numpy(x[:600]).float() / 255, torch.from_numpy(y[:600])
    optimizer = torch.optim.Adam(net.parameters(), lr=0.003)
    for _ in range(10):
        for rows in torch.randperm(600).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[rows]), labels[rows]).backward()
            optimizer.step()
    torch.save(net.state_dict(), folder / NET)
    return folder


def plain_net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))


CLAIMS = {"epochs": 3, "batch_size": 100, "dropout": 0.3, "learning_rate": 0.5}


@pytest.fixture(scope="module")
def space(place):
    images = load("scans", place)
    found = audit(place / NET, CLAIMS, data=images)
    return space_around(found.facts, found.evidence, Claims.of(CLAIMS), images)


@pytest.fixture(scope="module")
def zoo(place, space):
    return population(space, place / "zoo", BUDGET, data_dir=str(place))


def test_claims_narrow_the_space_and_are_among_its_values(space):
    assert space.values("epochs") == (3,)
    assert space.values("batch_size") == (16, 32, 64, 100, 256)  # 128 is too close to 100
    assert space.values("dropout") == (0.0, 0.3, 0.5)
    assert space.values("dataset") == ("scans",)
    assert set(space.values("optimizer")) == set(USUAL["optimizer"])
    low, high = space.values("learning_rate")
    assert low < 0.003 < 0.5 < high


def test_what_laws_rule_out_is_left_out(place):
    images = load("scans", place)
    claims = Claims.of({"loss": "cross_entropy"})
    found = audit(place / NET, claims, data=images, seeds=10)
    narrowed = space_around(found.facts, found.evidence, claims, images)
    assert narrowed.values("initialization") == ("torch_default",)  # seed 3 shows it
    other = space_around(found.facts, (), claims, images)
    assert len(other.values("initialization")) == 3


def test_a_counter_and_known_epochs_leave_one_batch_size(place, tmp_path):
    net = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 10))
    for _ in range(5 * 19):  # five epochs of 600 images in batches of 32
        net(torch.randn(32, 64))
    torch.save(net.state_dict(), tmp_path / "normed.pt")
    images, found = load("scans", place), audit(tmp_path / "normed.pt")
    known = space_around(found.facts, found.evidence, Claims.of({"epochs": 5}), images)
    assert known.values("batch_size") == (32,)
    unknown = space_around(found.facts, found.evidence, Claims(), images)
    assert unknown.values("batch_size") == USUAL["batch_size"]


def test_a_space_is_written_and_read_again(space, tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(space.to_yaml(), encoding="utf-8")
    assert load_space(path) == space


def test_dropout_is_put_after_hidden_dense_layers():
    plain = chain("conv 3x3 to 4 > activation > flatten > dense 8 > activation > dense 3")
    assert written(with_dropout(plain)) == (
        "conv 3x3 to 4 > activation > flatten > dense 8 > activation > dropout > dense 3"
    )
    own = chain("dropout > flatten > dense 8 > activation > dense 3")
    assert with_dropout(own) == own


def test_data_of_another_size_or_number_of_classes_are_refused(place, tmp_path):
    found = audit(place / NET)
    x, y = np.zeros((40, 9, 9), np.uint8), np.arange(40) % 10
    np.savez(tmp_path / "wide.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(UsageError, match=r"data: the images are 9x9x1, the net takes 64"):
        space_around(found.facts, (), Claims(), load("wide", tmp_path))
    x, y = np.zeros((40, 8, 8), np.uint8), np.arange(40) % 20
    np.savez(tmp_path / "many.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(UsageError, match="20 classes, the net gives 10"):
        space_around(found.facts, (), Claims(), load("many", tmp_path))


def test_a_net_that_is_no_plain_chain_needs_its_module(place, tmp_path):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.out = nn.Linear(64, 64), nn.Linear(64, 10)
            self.scale = nn.Parameter(torch.randn(7))

    torch.save(Block().state_dict(), tmp_path / "own.pt")
    found = audit(tmp_path / "own.pt")
    with pytest.raises(UsageError, match=r"leave the architecture open.*net\.py:build"):
        space_around(found.facts, (), Claims(), load("scans", place))


def test_the_same_is_seen_in_a_net_of_a_zoo_and_in_its_file(zoo, place, tmp_path):
    row = zoo.nets.row(0, named=True)
    recipe = zoo.space.draw(1)[0]
    images = load("scans", place)
    shown = Shown.of(images, recipe.size, ["unit", "standardized"])
    nets = Nets(recipe)
    sights = Sights(Behaviour(nets, shown, ("relu", "tanh")))
    vector = zoo.vector(row["net"], -1)
    torch.save(state_dict(recipe, vector), tmp_path / "one.pt")
    file = read_checkpoint(tmp_path / "one.pt")
    assert nets.takes(file.layout)
    names, seen = sights.row(vector, zoo.layout(row["net"]))
    again = sights.row(file.vector, nets.layout)
    assert names == again[0]
    np.testing.assert_array_equal(seen, again[1])
    assert len(names) == len(set(names))
    moved = sights.row(vector, nets.layout, zoo.vector(row["net"], 1))[0]
    assert set(names) < set(moved)


def test_a_population_is_gone_on_with_and_not_sampled_again(zoo, space, place):
    assert len(zoo.nets) >= FEWEST
    before = zoo.nets["net"].to_list()
    again = population(space, place / "zoo", BUDGET, data_dir=str(place))
    assert again.nets["net"].to_list()[: len(before)] == before
    spent = (place / "zoo" / "around.json").read_text()
    population(space, place / "zoo", 0.2, data_dir=str(place))
    assert (place / "zoo" / "around.json").read_text() == spent


def test_a_budget_that_is_too_small_is_refused_before_anything_is_written(space, place, tmp_path):
    long = space.with_constants(epochs=10_000)
    with pytest.raises(UsageError, match=r"budget: 1s are too few for 40 nets.*give \d+[sm]"):
        population(long, tmp_path / "zoo", 1.0, data_dir=str(place))
    with pytest.raises(UsageError, match="budget: 20s are too few for 40 nets"):  # to look at
        population(space, tmp_path / "zoo", 20.0, data_dir=str(place), looking=1.0)
    assert not (tmp_path / "zoo").exists()


@pytest.fixture
def few_trees(monkeypatch):
    """Readers with a twelfth of the trees, which take a tenth of the time."""
    few = Together((Linear(0.1), Kernel(), Boosted(rounds=5, leaves=7, leaf=8)))
    monkeypatch.setattr(looking, "ESTIMATOR", few)


@pytest.mark.usefixtures("few_trees")
def test_an_audit_with_a_population_around_it(zoo, place, space):
    found = audit_around(
        place / NET, {"dataset": "scans"} | CLAIMS, data=place / "scans.npz", around=space,
        seconds=BUDGET, folder=place / "zoo",
    )  # fmt: skip
    assert {one["property"] for one in found.readings} == set(space.properties)
    rate = next(one for one in found.readings if one["property"] == "learning_rate")
    assert rate["low"] < rate["value"] < rate["high"]
    assert not found.contradicted  # a population contradicts nothing
    said = {one.claim.name: one.about[0].law for one in found.verdicts if one.about}
    assert said["batch_size"] == said["learning_rate"] == "population around it"


def test_another_net_than_those_of_the_space_is_refused(place, space, tmp_path):
    torch.save(nn.Sequential(nn.Linear(64, 12), nn.Linear(12, 10)).state_dict(), tmp_path / "n.pt")
    with pytest.raises(UsageError, match="its tensors are not those of the nets of this space"):
        audit_around(tmp_path / "n.pt", data=place / "scans.npz", around=space, seconds=BUDGET,
                     folder=tmp_path / "zoo")  # fmt: skip
    assert not (tmp_path / "zoo").exists()


def test_initial_weights_are_those_that_torch_drew(place):
    checkpoint = read_checkpoint(place / NET)
    start = initial_weights(checkpoint, {}, 3)
    torch.manual_seed(3)
    first = np.concatenate([p.detach().reshape(-1).numpy() for p in plain_net().parameters()])
    np.testing.assert_allclose(start, first, rtol=1e-6)
    assert initial_weights(checkpoint, {}, 4) is None


@pytest.mark.slow
def test_a_module_of_ones_own(place, tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef build(recipe):\n"
        "    act = {'relu': nn.ReLU, 'tanh': nn.Tanh}[recipe.activation]\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), act(), nn.Linear(16, 10))\n"
    )
    around, images = f"{tmp_path / 'net.py'}:build", load("scans", place)
    claims = Claims.of({"epochs": 2})
    space = space_for(audit(place / NET), claims, images, around)
    assert space.values("architecture") == ("net.py:build",)
    assert "activation" in space.properties
    assert "dropout" not in space.properties  # the module does not read it
    found = audit_around(place / NET, claims, data=place / "scans.npz", around=around, seconds=2.0,
                         folder=tmp_path / "zoo")  # fmt: skip
    read = {one["property"] for one in found.readings}
    assert {"activation", "optimizer", "learning_rate"} <= read


def test_what_is_no_space_is_refused(place):
    with pytest.raises(UsageError, match=r"give auto, net\.py:build or a \.yaml"):
        audit_around(place / NET, data=place / "scans.npz", around="net.txt")


def reading(name, level, right, possible, levels=("false", "true")):
    return Reading(name, levels, level, 0.95, (0.95, 0.05), "weights", "" if level else "unclear",
                   right, 30, possible, 0.95, None, None, False, 0.9, 0.8, 1.0, 0.5)  # fmt: skip


RATE = Rate(0.01, 0.003, 0.03, 0.95, 100)


@pytest.mark.parametrize(
    ("claim", "one", "verdict", "words"),
    [
        (True, reading("augmentation", "true", 0.97, ("true",)), "consistent", "97%"),
        (True, reading("augmentation", "true", 0.8, ("true",)), "undecidable", "often wrong"),
        (True, reading("augmentation", "false", 1.0, ("false",)), "undecidable", "no proof"),
        (True, reading("augmentation", None, None, ("false",)), "undecidable", "does not tell"),
    ],
)
def test_a_reading_supports_a_claim_and_contradicts_none(claim, one, verdict, words, space):
    claims = Claims.of({"augmentation": claim})
    (before,) = audit_of(claims)
    around = Around(space, Path("zoo"), 100, {"augmentation": one}, None)
    found = weighed(before, claims, around)
    assert found.verdict == verdict
    assert words in found.strength
    assert found.about[0].law == "population around it"


@pytest.mark.parametrize(
    ("claim", "within", "verdict"),
    [(0.015, 0.95, "consistent"), (0.015, 0.6, "undecidable"), (0.5, 0.95, "undecidable")],
)
def test_a_learning_rate_is_read_as_a_number(claim, within, verdict, space):
    claims = Claims.of({"learning_rate": claim})
    (before,) = audit_of(claims)
    around = Around(space, Path("zoo"), 100, {}, replace(RATE, within=within))
    assert weighed(before, claims, around).verdict == verdict
    (found,) = readings_of(around)
    assert found["value"] == 0.01


def audit_of(claims):
    from weightspace.audit.verdicts import judged

    return [judged(claim, claims, ()) for claim in claims]


def test_a_constant_rate_is_the_level_without_decay(space):
    claims = Claims.of({"schedule": "constant"})
    (before,) = audit_of(claims)
    one = reading("schedule", "exponential", 0.95, ("exponential",), ("exponential", "cosine"))
    around = Around(space, Path("zoo"), 100, {"schedule": one}, None)
    assert weighed(before, claims, around).verdict == "consistent"
    assert readings_of(around)[0]["value"] == "constant"


def test_the_interval_of_a_rate_covers_what_it_says():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 6))
    rates = np.exp(rows[:, 0] + 0.3 * rng.normal(size=400))
    model = RateModel(rows[:200], rates[:200], np.arange(200) % 5)
    found = [model.read(row) for row in rows[200:]]
    inside = np.mean([r.low <= t <= r.high for r, t in zip(found, rates[200:], strict=True)])
    assert 0.82 < inside < 0.97
    near = np.abs(np.log([r.value / t for r, t in zip(found, rates[200:], strict=True)]))
    assert abs(np.mean(near <= np.log(2)) - found[0].within) < 0.12


@pytest.mark.usefixtures("few_trees")
def test_rows_that_were_seen_are_kept(zoo, place):
    images = load("scans", place)
    AroundReader(zoo, images, place / "zoo")
    before = (place / "zoo" / "rows.npz").stat().st_mtime_ns
    AroundReader(zoo, images, place / "zoo")
    assert (place / "zoo" / "rows.npz").stat().st_mtime_ns == before
