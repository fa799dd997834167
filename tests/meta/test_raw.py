"""`raw`: weights as they are, of nets that share a layout; honest, bounded, stored as weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file
from sklearn.utils.estimator_checks import parametrize_with_checks

from support.populations import ALIGNED, synthetic_zoo
from support.stored_models import put, rewrite, say
from weightspace.errors import DataError, UsageError
from weightspace.learners import raw as module
from weightspace.learners.columns import balanced_targets
from weightspace.meta import Model, Raw, evaluate, fit, labels_of
from weightspace.meta.design import whole as rooms
from weightspace.meta.design.slices import Source
from weightspace.meta.design.whole import Alignment, weight_rows
from weightspace.meta.model.structures import Structures
from weightspace.networks import Plan
from weightspace.space import Recipe

QUICK = {"slice_length": 3000, "slices_per_net": 1, "seeds": (0,)}


# None is expected to fail. Two skip themselves here: they need pandas and SCIPY_ARRAY_API.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([Raw()])
def test_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return synthetic_zoo(tmp_path_factory.mktemp("raw") / "zoo", nets=100, space=ALIGNED)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """Nets of the same population that no model here has seen."""
    path = tmp_path_factory.mktemp("raw") / "other"
    return synthetic_zoo(path, nets=60, seed=77, space=ALIGNED)


@pytest.fixture(scope="module")
def model(zoo):
    return fit(zoo, classifier="raw", properties=["initialization", "optimizer"], slice_length=3000)


def shifted(n=90, width=300, seed=0):
    """Rows of two classes, apart by a little in each of many columns."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.normal(size=(n, width)) * np.geomspace(1e-3, 1e3, width)
    return x + 0.25 * y[:, None] * np.geomspace(1e-3, 1e3, width), y


def test_it_sums_up_what_no_weight_tells_alone():
    x, y = shifted()
    fresh, truth = shifted(200, seed=1)
    assert Raw().fit(x, y).score(fresh, truth) > 0.9


def test_sizes_tell_a_spread_that_signs_hide():
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    x = rng.normal(size=(200, 500)) * np.where(y, 1.0, 1.3)[:, None]
    fit_on, rest = slice(0, 100), slice(100, 200)
    assert Raw().fit(x[fit_on], y[fit_on]).score(x[rest], y[rest]) > 0.9
    assert Raw(sizes=False).fit(x[fit_on], y[fit_on]).score(x[rest], y[rest]) < 0.75


def test_leaving_nets_out_in_the_dual_is_fitting_without_them():
    x, y = shifted(40, 60)
    groups = np.random.default_rng(0).integers(0, 15, len(x))
    scale = module.Scale.of(x, 1)
    z = scale(x, slice(None))
    gram = z @ z.T / scale.used
    targets = balanced_targets(y[:, None], (2,))
    ((scores, dual),) = module._Dual(gram, groups, (0.1,)).best([targets], [np.ones(len(x))])
    centred = z - z.mean(axis=0)
    penalty = 0.1 * np.square(centred).sum() / len(x)
    wide = np.c_[np.ones(len(x)), centred]
    ridge = np.diag([0.0] + [penalty] * z.shape[1])
    for group in np.unique(groups):
        kept = groups != group
        gone = np.linalg.solve(wide[kept].T @ wide[kept] + ridge, wide[kept].T @ targets[kept])
        np.testing.assert_allclose(scores[~kept], wide[~kept] @ gone, atol=1e-6)
    whole = np.linalg.solve(wide.T @ wide + ridge, wide.T @ targets)
    np.testing.assert_allclose(z.T @ dual / scale.used, whole[1:], atol=1e-6)


def test_noise_takes_a_heavier_penalty_than_signal():
    x, y = shifted(60, 40)
    z = module.Scale.of(x, 1)(x, slice(None))
    space = module._Dual(z @ z.T / 40, np.arange(60), module.RIDGES)
    noise = np.random.default_rng(3).permutation(y)
    weight = np.ones(60)
    signal = balanced_targets(y[:, None], (2,))
    found = space.best([signal, balanced_targets(noise[:, None], (2,))], [weight, weight])
    alone = [module._Dual(z @ z.T / 40, np.arange(60), (r,)) for r in module.RIDGES]
    for targets, (scores, _) in zip(
        (signal, balanced_targets(noise[:, None], (2,))), found, strict=True
    ):
        errors = [np.square(a.best([targets], [weight])[0][0] - targets).sum() for a in alone]
        assert np.square(scores - targets).sum() == pytest.approx(min(errors))
    lengths = [float(np.square(dual).sum()) for _, dual in found]
    assert lengths[1] < lengths[0]


def test_each_weight_is_standardised_by_the_training_nets_alone():
    x, y = shifted(60, 50)
    x[:, 7] = 3.0
    fitted = Raw().fit_labelings(x, y[:, None], (2,), np.arange(60))
    spread = x.std(axis=0)
    logs = np.log10(np.abs(x) + module._FAINTEST)
    np.testing.assert_allclose(fitted.scale.centre, [x.mean(axis=0), logs.mean(axis=0)])
    np.testing.assert_allclose(fitted.scale.inverse[0, spread > 0], 1 / spread[spread > 0])
    assert (fitted.scale.inverse[:, 7] == 0).all()
    # A weight that no training net moved says nothing, and one that exploded not everything.
    odd, near = x[:1].copy(), x[:1].copy()
    odd[0, 7] = 1e9
    odd[0, 0], near[0, 0] = 1e30, 1e20
    np.testing.assert_allclose(
        fitted.log_probabilities(odd)[0], fitted.log_probabilities(near)[0], atol=1e-6
    )


def test_weights_answer_as_the_rows_that_taught_them(monkeypatch):
    x, y = shifted(60, 200)
    codes = np.stack([y, np.roll(y, 7) + 2 * (np.arange(60) % 4 == 0)], axis=1) % 3
    fitted = Raw().fit_labelings(x.astype(np.float32), codes, (2, 3), np.arange(60) // 2)
    fresh, _ = shifted(30, 200, seed=1)
    monkeypatch.setattr(module, "_WEIGHTS", 64)
    for one, other in zip(
        fitted.log_probabilities(fresh), fitted.aligned().log_probabilities(fresh), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_many_labelings_at_once_are_each_one_alone():
    x, y = shifted()
    other = np.random.default_rng(1).integers(0, 3, len(y))
    groups = np.arange(len(x)) // 3
    both = Raw().fit_labelings(x, np.stack([y, other], 1), (2, 3), groups)
    for j, (codes, levels) in enumerate(((y, 2), (other, 3))):
        alone = Raw().fit_labelings(x, codes[:, None], (levels,), groups)
        np.testing.assert_allclose(
            both.log_probabilities(x)[j], alone.log_probabilities(x)[0], atol=1e-7
        )


def test_rows_are_the_weights_asked_for(zoo):
    nets = labels_of(zoo).nets[:5]
    rows, owners = weight_rows(zoo, nets, Source(100, (2, -1), "conv", running_stats=False))
    assert rows.dtype == np.float32
    assert owners.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    own = zoo.layout(nets[3]).indices("conv", False)
    np.testing.assert_array_equal(rows[6], zoo.vector(nets[3], 2)[own])
    np.testing.assert_array_equal(rows[7], zoo.vector(nets[3], -1)[own])


def test_where_all_nets_share_a_layout_it_is_evaluated_unasked(zoo):
    frame = evaluate(zoo, properties=["initialization", "dataset"], permutations=5, **QUICK).frame()
    own = frame.filter(pl.col("classifier") == "raw")
    assert own["unit"].to_list() == ["net", "net"]
    absent, encoded = own.sort("property").to_dicts()
    assert encoded["low"] > max(encoded["control_high"], 0.6)
    assert absent["low"] < absent["chance"] < absent["control_high"]
    assert encoded["n_slices"] == 100


def test_nets_of_many_layouts_are_refused_by_number(tmp_path):
    mixed = synthetic_zoo(tmp_path / "zoo", nets=60)
    with pytest.raises(UsageError, match="raw: needs nets of one layout, this zoo has 3; use laye"):
        evaluate(mixed, classifiers=["raw"], **QUICK)
    with pytest.raises(UsageError, match="raw: needs nets of one layout, this zoo has 3"):
        fit(mixed, classifier="raw", slice_length=3000)
    frame = evaluate(mixed, properties=["optimizer"], permutations=0, **QUICK).frame()
    assert "raw" not in set(frame["classifier"])


def test_a_part_that_all_nets_share_is_enough():
    one, two = (
        Plan.from_recipe(Recipe(dataset="any", input_size=16, depth_fc=depth)).layout()
        for depth in (1, 2)
    )
    assert Alignment.of(one) != Alignment.of(two)
    assert Alignment.of(one, "conv") == Alignment.of(two, "conv")
    assert Alignment.of(one, "conv") != Alignment.of(one, "conv", running_stats=False)


def test_what_does_not_fit_is_refused_with_numbers_and_left_out_of_the_default(zoo, monkeypatch):
    monkeypatch.setattr(rooms, "MOST_BYTES", 10**6)
    words = r"raw: holds at most 0.0 GB of weights, these are 0.0 \(100 nets of 7,\d{3} weights\)"
    with pytest.raises(UsageError, match=words):
        evaluate(zoo, classifiers=["raw"], **QUICK)
    frame = evaluate(zoo, properties=["optimizer"], permutations=0, **QUICK).frame()
    assert "raw" not in set(frame["classifier"])


def test_a_stored_model_answers_the_same_and_holds_weights_alone(model, strangers, tmp_path):
    again = Model.load(model.save(tmp_path / "model"))
    assert again.to_dict() == model.to_dict()
    labels = labels_of(strangers)
    right = []
    for i, net in enumerate(labels.nets):
        vector, layout = strangers.vector(net), strangers.layout(net)
        answer = again.predict(vector, layout)
        assert answer == model.predict(vector, layout)
        reading = answer.readings["initialization"]
        right.append(reading.level == reading.levels[labels.codes["initialization"][i]])
    ability = next(a for a in again.readers[0].abilities if a.property == "initialization")
    assert ability.low > 0.5
    assert ability.low - 0.12 < np.mean(right) < ability.high + 0.12
    kept = load_file(tmp_path / "model" / "arrays.safetensors")
    size = strangers.layout(labels.nets[0]).size
    assert kept["0.weights"].shape == (2, size, 7)
    assert {a.shape for a in kept.values()} == {(2, size, 7), (2, size), (size,), (7,)}


def test_a_net_of_another_layout_is_no_net_to_read(model):
    layout = Plan.from_recipe(Recipe(dataset="any", input_size=16)).layout()
    vector = np.random.default_rng(0).normal(size=layout.size).astype(np.float32)
    answer = model.predict(vector, layout)
    assert answer.outside
    assert all(reading.level is None for reading in answer.readings.values())
    same = replace(model, structures=Structures({}))  # which a net of the same numbers would pass
    with pytest.raises(DataError, match=r"vector: its tensors \([\d,]+ values\) have other shapes"):
        same.predict(vector, layout)
    with pytest.raises(DataError, match="vector: the raw model needs its layout"):
        model.predict(vector)


def thrice(plain, arrays):
    for name in ("inverse", "centre", "weights"):
        arrays[f"0.{name}"] = arrays[f"0.{name}"][[0, 0, 1]]


HOSTILE = [
    (thrice, "each weight is read in 3 ways"),
    (say("0" * 16, "readers", 0, "columns"), "other weights features than this release"),
    (say(5, "readers", 0, "view", "values"), "reads a feature that does not exist"),
    (say(0, "readers", 0, "view", "values"), "values are 0"),
    (say(1e4, "readers", 0, "view", "values"), "its alignment is invalid"),
    (say("kernel", "readers", 0, "view", "classifier"), r"values are 7\d{3}"),
    (say("paper", "readers", 0, "view", "classifier"), "no model can hold paper"),
    (put("inverse", 0, -1.0), "a weight has a negative deviation"),
    (put("inverse", 0, 1e300), "array inverse holds values beyond"),
    (put("weights", 0, np.nan), "array weights is not finite"),
    (put("weights", 0, 3e38), "array weights holds values beyond"),
    (
        lambda p, a: a.update({"0.weights": a["0.weights"].astype(np.float64)}),
        "array weights is float64, not float32",
    ),
    (lambda p, a: a.pop("0.centre"), "array centre is missing"),
]


@pytest.mark.parametrize(("change", "message"), HOSTILE, ids=[m for _, m in HOSTILE])
def test_hostile_models_are_refused(model, tmp_path, change, message):
    folder = model.save(tmp_path)
    rewrite(folder, change)
    with pytest.raises(DataError, match=message):
        Model.load(folder)


def test_a_hostile_model_that_loads_gives_numbers(model, strangers, tmp_path):
    folder = model.save(tmp_path)

    def stretch(plain, arrays):
        arrays["0.centre"][:] = -3.4e38
        arrays["0.inverse"][:] = 1e30
        arrays["0.weights"][:] = 1e30
        arrays["0.offsets"][:] = -1e30
        for ability in plain["readers"][0]["abilities"]:
            ability["temperature"] = 1e-3

    rewrite(folder, stretch)
    net = strangers.nets["net"][0]
    answer = Model.load(folder).predict(strangers.vector(net), strangers.layout(net))
    for reading in answer.readings.values():
        assert sum(reading.probabilities) == pytest.approx(1)
