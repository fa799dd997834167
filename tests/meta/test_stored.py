"""Models of several kinds of classifiers: stored, and read with suspicion."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

from support.populations import synthetic_zoo
from support.stored_models import put, rewrite
from weightspace.errors import DataError
from weightspace.learners.together import Together
from weightspace.meta import Boosted, Kernel, Linear, Model, fit, labels_of
from weightspace.meta.model.packing import Arrays, Unsound, pack, unpack

LENGTH = 3000
NAMES = ["logistic", "svm", "boosted-statistics", "pooled"]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return synthetic_zoo(tmp_path_factory.mktemp("stored") / "zoo", nets=100)


@pytest.fixture(scope="module")
def models(zoo):
    properties = ["initialization", "augmentation"]
    options = {"slice_length": LENGTH, "slices_per_net": 3, "folds": 3}
    return {name: fit(zoo, classifier=name, properties=properties, **options) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_model_answers_the_same(name, models, zoo, tmp_path):
    kept = models[name]
    folder = kept.save(tmp_path / "model")
    assert sorted(p.name for p in folder.iterdir()) == ["arrays.safetensors", "model.json"]
    again = Model.load(folder)
    assert again.to_dict() == kept.to_dict()
    labels = labels_of(zoo)
    right = []
    for i, net in enumerate(labels.nets):
        answer = again.predict(zoo.vector(net))
        assert answer == kept.predict(zoo.vector(net))
        level = labels.levels["initialization"][labels.codes["initialization"][i]]
        reading = answer.readings["initialization"]
        if not answer.outside:
            right.append(reading.levels[int(np.argmax(reading.probabilities))] == level)
    assert np.mean(right) > kept.to_dict()["properties"][0]["low"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["boosted", "boosted-layers", "ensemble"])
def test_the_slow_ones_as_well(name, zoo, tmp_path):
    kept = fit(zoo, classifier=name, properties=["filter_size"], slice_length=LENGTH, folds=2)
    again = Model.load(kept.save(tmp_path / "model"))
    assert kept.to_dict()["properties"][0]["low"] > 0.5
    for net in zoo.nets["net"][:10]:
        vector, layout = zoo.vector(net), zoo.layout(net)
        assert again.predict(vector, layout) == kept.predict(vector, layout)


def test_classifiers_that_answer_together_are_stored_part_by_part():
    rng = np.random.default_rng(0)
    x, codes = rng.normal(size=(90, 5)), rng.integers(0, 3, (90, 2))
    both = Together((Linear(), Kernel(), Boosted(rounds=5, leaf=5)))
    kept = both.fit_labelings(x, codes, (3, 3), np.arange(90))
    name, arrays, numbers = pack("both", kept)
    assert name == "linear+kernel+boostings"
    stored = {f"0.{key}": np.ascontiguousarray(array) for key, array in arrays.items()}
    again = unpack(name, numbers, Arrays(stored, "0"), 5, (3, 3))
    for own, other in zip(kept.log_probabilities(x), again.log_probabilities(x), strict=True):
        np.testing.assert_array_equal(own, other)
    for wrong in ("linear+kernel+boostings+linear", "linear+", "kernel+linear+boostings", "+"):
        with pytest.raises((Unsound, KeyError)):  # which `Model.load` tells as damage
            unpack(wrong, numbers, Arrays(stored, "0"), 5, (3, 3))


def loop(plain, arrays):
    left = arrays["0.boosting0.left"]
    left[np.flatnonzero(left != np.arange(len(left)))[1]] = 0


def chain(plain, arrays):
    n = len(arrays["0.boosting1.left"])
    onward = np.minimum(np.arange(n) + 1, n - 1).astype(np.int32)
    arrays["0.boosting1.left"], arrays["0.boosting1.right"] = onward, onward.copy()
    arrays["0.boosting1.roots"] = np.zeros(1, np.int32)


def cut(name, *where):
    def change(plain, arrays):
        arrays[f"0.{name}"] = arrays[f"0.{name}"][where]

    return change


BOOSTED = [
    (loop, "a tree's node leads back or out"),
    (chain, "a tree is deeper than 64"),
    (put("boosting0.left", 0, 10**9), "a tree's node leads back or out"),
    (put("boosting0.feature", 0, 18), "a tree reads a feature that does not exist"),
    (put("boosting1.roots", 0, -1), "a tree has no root"),
    (put("boosting1.roots", 1, 0), "a tree occurs twice"),
    (put("boosting0.leaves", 0, np.nan), "array boosting0.leaves is not finite"),
    (put("boosting0.leaves", 0, -1e31), r"array boosting0.leaves holds values beyond 1e\+30"),
    (put("boosting0.threshold", 0, np.inf), "array boosting0.threshold is not finite"),
    (put("boosting1.baseline", 0, np.nan), "array boosting1.baseline is not finite"),
    (put("boosting1.baseline", 0, 1e31), r"array boosting1.baseline holds values beyond 1e\+30"),
    (cut("boosting1.baseline", slice(1)), r"array boosting1.baseline has the shape \[1\]"),
    (cut("boosting0.leaves", slice(None), slice(2)), "array boosting0.leaves has the shape"),
    (cut("boosting0.roots", slice(0)), "array boosting0.roots has the shape"),
    (lambda p, a: a.pop("0.boosting0.baseline"), "array boosting0.baseline is missing"),
    (lambda p, a: a.pop("0.boosting1.left"), "array boosting1.left is missing"),
    (lambda p, a: p["readers"][0].update(kind="forests"), "array forest0.left is missing"),
    (lambda p, a: p["readers"][0].update(kind="linear"), "array knots is missing"),
]


@pytest.mark.parametrize(("change", "message"), BOOSTED, ids=[m for _, m in BOOSTED])
def test_hostile_boosted_trees_are_refused(models, tmp_path, change, message):
    folder = models["boosted-statistics"].save(tmp_path)
    rewrite(folder, change)
    with pytest.raises(DataError, match=message):
        Model.load(folder)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_loads_gives_numbers(name, models, zoo, tmp_path):
    """Arrays damaged at random, a byte or a run of bytes each time: refused, or answers."""
    folder = models[name].save(tmp_path)
    vector = zoo.vector(zoo.nets["net"][0])
    rng = np.random.default_rng(0)
    sound = (folder / "arrays.safetensors").read_bytes()
    names = sorted(load_file(folder / "arrays.safetensors"))
    refused = 0
    for turn in range(60):

        def damage(plain, arrays, turn=turn):
            array = arrays[names[turn % len(names)]]
            data = bytearray(array.tobytes())
            at, run = int(rng.integers(len(data))), int(rng.choice([1, 8]))
            data[at : at + run] = rng.bytes(len(data[at : at + run]))
            arrays[names[turn % len(names)]] = np.frombuffer(data, array.dtype).reshape(array.shape)

        rewrite(folder, damage)
        try:
            answer = Model.load(folder).predict(vector)
        except DataError:
            refused += 1
        else:
            for reading in answer.readings.values():
                assert sum(reading.probabilities) == pytest.approx(1)
        (folder / "arrays.safetensors").write_bytes(sound)
    assert 0 < refused < 60


def test_boosted_trees_at_their_bounds_give_numbers(models, zoo, tmp_path):
    folder = models["boosted-statistics"].save(tmp_path)
    rng = np.random.default_rng(0)

    def stretch(plain, arrays):
        for name in ("leaves", "baseline"):
            own = arrays[f"0.boosting0.{name}"]
            own[:] = 9.9e29 * rng.choice([-1.0, 1.0], own.shape)
        plain["readers"][0]["abilities"][0]["temperature"] = 1e-3

    rewrite(folder, stretch)
    answer = Model.load(folder).predict(zoo.vector(zoo.nets["net"][0]))
    for reading in answer.readings.values():
        assert sum(reading.probabilities) == pytest.approx(1)
