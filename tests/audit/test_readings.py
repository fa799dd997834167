"""Readings of checkpoints: plain values, none outside of the population, on nets of real images."""

from __future__ import annotations

import json
import os

import numpy as np
import polars as pl
import pytest
import safetensors.numpy

import weightspace
from support.commands import printed
from support.populations import synthetic_zoo
from weightspace.audit import audit
from weightspace.audit.formats import Outcome
from weightspace.audit.formats.text import text
from weightspace.audit.readings import predict, readings
from weightspace.checkpoints import read_checkpoint
from weightspace.checkpoints.remote import opened
from weightspace.space import Choice, Space

KEYS = {"property", "value", "reason", "source", "probability", "accuracy", "n", "levels"} | {
    *("possible", "told", "conditional")
}


def stored(zoo, net, path):
    """A net of a zoo as a file of another program."""
    vector, names = zoo.vector(net), {"shift": "bias", "scale": "weight"}
    tensors = {}
    for spec in zoo.layout(net).tensors:
        stem = spec.name.rsplit(".", 1)[0] + "_norm" * (spec.role not in ("weight", "bias"))
        name = f"{stem}.{names.get(spec.role, spec.role)}"
        tensors[name] = np.array(vector[spec.offset : spec.stop]).reshape(spec.shape)
    safetensors.numpy.save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return synthetic_zoo(tmp_path_factory.mktemp("readings") / "zoo", nets=60)


@pytest.fixture(scope="module")
def model(zoo):
    properties = ["initialization", "filter_size", "augmentation"]
    return weightspace.fit(zoo, properties=properties, classifier="layers", slice_length=1000)


def test_an_audit_with_a_model_opens_the_file_once(zoo, model, tmp_path, monkeypatch):
    path = stored(zoo, zoo.nets["net"][0], tmp_path / "net.safetensors")
    places = []

    def counted(place):
        places.append(place)
        return opened(place)

    monkeypatch.setattr("weightspace.checkpoints.files.opened", counted)
    found = audit(path, model=model)
    assert len(places) == 1
    assert found.readings == readings(model, read_checkpoint(path))


def test_readings_are_plain_values(zoo, model, tmp_path):
    net = zoo.nets["net"][0]
    checkpoint = read_checkpoint(stored(zoo, net, tmp_path / "net.safetensors"))
    found = {one["property"]: one for one in readings(model, checkpoint)}
    assert json.loads(json.dumps(found)) == found
    assert all(set(one) == KEYS for one in found.values())
    side = found["filter_size"]
    assert side["source"] == "shapes"
    assert side["value"] == str(zoo.nets["filter_size"][0])
    assert side["probability"] == 1
    assert not side["conditional"]
    start = found["initialization"]
    assert start["value"] in (None, *start["levels"])
    if start["value"] is not None:
        assert start["n"] >= 15
        assert 0.5 < start["accuracy"] <= 1
    assert start["conditional"] == (start["told"] < 0.9)
    assert not found["augmentation"]["conditional"]  # true or false: there is nothing else


def test_an_audit_lists_the_readings_of_a_model(zoo, model, tmp_path, capsys):
    net = zoo.nets["net"][0]
    path = stored(zoo, net, tmp_path / "net.safetensors")
    model.save(tmp_path / "model")
    found = audit(path, {"optimizer": "sgd"}, model=tmp_path / "model")
    assert found.to_dict()["readings"] == readings(model, read_checkpoint(path))
    told = text([Outcome(found.file, found)], 100)
    _, _, read = told.partition("what the model reads off the weights")
    assert "filter_size" in read
    assert "as the shapes show" in read
    told = printed(capsys, "audit", path, "--model", tmp_path / "model", "--json")
    assert json.loads(told)[0]["readings"] == found.to_dict()["readings"]


def test_outside_every_reading_is_none_and_says_why(model, tmp_path):
    weights = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    safetensors.numpy.save_file({"fc.weight": weights}, tmp_path / "mlp.safetensors")
    found = readings(model, read_checkpoint(tmp_path / "mlp.safetensors"))
    for one in found:
        assert one["value"] is one["probability"] is one["accuracy"] is None
        assert one["n"] == 0
        assert one["reason"] == "no convolution; the population has 2"
    prediction = weightspace.predict(model, tmp_path / "mlp.safetensors")
    assert prediction.answer.outside
    assert weightspace.checkpoints.predict is weightspace.predict is predict


@pytest.mark.slow
@pytest.mark.skipif("WEIGHTSPACE_DATA" not in os.environ, reason="no published image sets")
def test_what_is_promised_holds_for_fresh_nets_of_real_images(tmp_path):
    """Fitted on two thirds of a small population: coverage, accuracy and false alarms."""
    real = {"dataset": Choice(("mnist", "fashion_mnist", "cifar10"))}
    space = Space("real", weightspace.preset("demo").distributions | real)
    zoo = weightspace.sample(space, nets=240, out=tmp_path / "zoo", snapshots=2, seed=1)
    fresh = set(zoo.nets["net"][::3])
    zoo.nets = zoo.nets.with_columns(diverged=pl.col("net").is_in(fresh))
    model = weightspace.fit(zoo, classifier="layers")
    whole = weightspace.Zoo(tmp_path / "zoo")
    rows = whole.nets.filter(pl.col("net").is_in(fresh)).to_dicts()
    covered, promised, right, outside = [], [], [], 0
    for row in rows:
        answer = model.predict(whole.vector(row["net"]), whole.layout(row["net"]))
        outside += answer.outside
        for name in ("dataset", "optimizer", "activation", "initialization"):
            one = answer.readings[name]
            if answer.outside:
                continue
            covered.append(row[name] in one.possible)
            if one.level is not None:
                promised.append(one.right)
                right.append(one.level == row[name])
    assert outside <= 5  # of 80, where 1 % is promised
    assert np.mean(covered) > 0.9
    assert np.mean(right) == pytest.approx(np.mean(promised), abs=0.08)
