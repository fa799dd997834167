"""Models: calibrated answers, stored without code, read with suspicion."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from scipy.special import log_softmax

from support.populations import lacking, synthetic_zoo
from support.stored_models import put, rewrite, say
from weightspace.errors import DataError, UsageError
from weightspace.learners.temperature import temperature
from weightspace.meta import Model, fit, labels_of
from weightspace.meta.model.range import Range

LENGTH = 3000


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return synthetic_zoo(tmp_path_factory.mktemp("model") / "zoo", nets=100)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """Nets of the same population that no model here has seen."""
    return synthetic_zoo(tmp_path_factory.mktemp("model") / "other", nets=60, seed=77)


@pytest.fixture(scope="module")
def model(zoo):
    return fit(zoo, slice_length=LENGTH)


@pytest.fixture(scope="module")
def forest(zoo):
    return fit(
        zoo,
        classifier="forest",
        properties=["optimizer", "filter_size"],
        slice_length=LENGTH,
        slices_per_net=3,
    )


@pytest.fixture(scope="module")
def shallow(zoo):
    return fit(zoo, classifier="shallow", properties=["initialization"], slice_length=LENGTH)


def most_probable(reading):
    return reading.levels[int(np.argmax(reading.probabilities))]


def test_fresh_nets_are_read_as_well_as_promised(model, strangers):
    labels = labels_of(strangers)
    for bare in (False, True):
        answers = [
            model.predict(strangers.vector(net), None if bare else strangers.layout(net))
            for net in labels.nets
        ]
        assert {a.classifier for a in answers} == {"kernel" if bare else "layers"}
        for name in ("initialization", "augmentation", "filter_size", "optimizer"):
            readings = [a.readings[name] for a in answers]
            truth = [labels.levels[name][code] for code in labels.codes[name]]
            right = np.mean(
                [
                    most_probable(r) == t
                    for r, t in zip(readings, truth, strict=True)
                    if r.probabilities
                ]
            )
            # The promised interval and the fresh nets' own error, each to be allowed for.
            assert readings[0].low - 0.12 < right < readings[0].high + 0.12
        outside = np.mean([a.outside for a in answers])
        assert outside < 0.1


def test_probabilities_are_calibrated(model, strangers):
    labels = labels_of(strangers)
    chances, right = [], []
    for i, net in enumerate(labels.nets):
        answer = model.predict(strangers.vector(net), strangers.layout(net))
        for name, reading in answer.readings.items():
            if answer.outside or reading.source == "shapes":
                continue
            assert sum(reading.probabilities) == pytest.approx(1)
            assert reading.level in (None, most_probable(reading))
            assert reading.probability == max(reading.probabilities)
            chances.append(reading.probability)
            right.append(most_probable(reading) == labels.levels[name][labels.codes[name][i]])
    assert np.mean(chances) == pytest.approx(np.mean(right), abs=0.06)
    sure = np.array(chances) > 0.9
    assert np.mean(np.array(right)[sure]) > 0.85


def test_temperature_is_the_minimum_of_the_cross_entropy():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 600)
    logs = log_softmax(4 * (np.eye(3)[codes] + rng.normal(size=(600, 3))), axis=1)
    best = temperature(logs, codes, 600)

    def slow(t):
        chances = log_softmax(logs / t, axis=1)
        wanted = np.where(np.eye(3)[codes] == 1, 1 - 1 / 602, 1 / 602 / 2)
        losses = -(wanted * chances).sum(axis=1)
        return np.mean([losses[codes == c].mean() for c in range(3)])

    grid = np.geomspace(0.1, 40, 400)
    assert best == pytest.approx(grid[np.argmin([slow(t) for t in grid])], rel=0.03)


def test_a_few_nets_make_nothing_certain():
    codes = np.arange(30) % 2
    logs = log_softmax(np.where(np.eye(2)[codes] == 1, 9.0, 0.0), axis=1)
    kept = temperature(logs, codes, 30)
    surest = np.exp(log_softmax(logs / kept, axis=1)).max()
    assert surest == pytest.approx(1 - 1 / 32, abs=0.002)
    # Several moments of a net are no more nets.
    repeated = temperature(np.tile(logs, (5, 1)), np.tile(codes, 5), 30)
    assert repeated == pytest.approx(kept, rel=1e-4)


def test_the_limit_of_novelty_is_that_of_single_vectors():
    """One net in ten is odd at one of five moments; its mean over moments hides how odd."""
    rng = np.random.default_rng(0)
    nets, moments = np.repeat(np.arange(100), 5), np.tile(np.arange(5), 100)
    features = rng.normal(size=(500, 200))
    odd = (moments == nets % 5) & (nets % 10 == 0)
    features[odd, :100] *= 50
    range_ = Range.fit(features, nets, moments, np.arange(100) % 5)
    beyond = [range_.outside(features[i : i + 1]) > range_.limit for i in range(500)]
    assert np.mean(beyond) <= 0.011
    assert range_.limit > 0.3
    # 500 vectors: at most 1 % of further ones, so the fifth largest is the limit.
    assert range_.alarms == pytest.approx(5 / 501)


def test_a_few_vectors_promise_no_rate_that_they_cannot_show():
    rows = np.random.default_rng(0).normal(size=(40, 30))
    assert Range.fit(rows, np.arange(40), np.zeros(40, int), np.arange(40) % 5).alarms == 1 / 41


def test_missing_features_are_neither_inside_nor_outside():
    rows = np.random.default_rng(0).normal(size=(200, 4))
    rows[::2, 1], rows[:, 3] = np.nan, np.nan
    known = Range.fit(rows, np.arange(200), np.zeros(200, int), np.arange(200) % 5)
    assert known.outside(np.array([[0.0, np.nan, 0.0, np.nan]])) == 0
    assert known.outside(np.array([[9.0, np.nan, 0.0, np.nan]])) == 1 / 2
    assert known.outside(np.array([[9.0, 9.0, 0.0, 5.0]])) == 2 / 4


def test_a_pruned_net_is_outside(model, zoo):
    net = zoo.nets["net"][0]
    vector, layout = zoo.vector(net).copy(), zoo.layout(net)
    vector[np.abs(vector) < np.quantile(np.abs(vector), 0.1)] = 0
    for answer in (model.predict(vector, layout), model.predict(vector)):
        assert answer.outside
        assert (
            "of its values are exactly 0, as after pruning or rounding to few bits; at most"
            in answer.reasons[0]
        )
        assert all(reading.level is None for reading in answer.readings.values())


def test_what_is_unlike_the_population_is_outside(model, zoo):
    net = zoo.nets["net"][0]
    vector, layout = zoo.vector(net), zoo.layout(net)
    assert not model.predict(vector, layout).outside
    rng = np.random.default_rng(0)
    for strange in (
        np.zeros_like(vector),
        np.sin(np.arange(len(vector)) / 9).astype(np.float32),
        1e4 * vector,
        rng.standard_t(1, len(vector)).astype(np.float32),
    ):
        for answer in (model.predict(strange, layout), model.predict(strange)):
            assert answer.outside
            assert answer.novelty > answer.novelty_limit
            (reason,) = answer.reasons
            assert f"{100 * answer.novelty:.1f} % of its features are beyond" in reason
            for reading in answer.readings.values():
                assert reading.level is None
                assert reading.probability is None
                assert reading.probabilities == ()
                assert reading.reason == reason
            assert all(row["value"] is None for row in answer.to_dict()["readings"])
            assert answer.frame().is_empty()


@pytest.mark.parametrize("name", ["model", "forest", "shallow"])
def test_a_stored_model_answers_the_same(name, request, tmp_path, strangers):
    kept = request.getfixturevalue(name)
    folder = kept.save(tmp_path / "deep" / "model")
    assert sorted(p.name for p in folder.iterdir()) == ["arrays.safetensors", "model.json"]
    again = Model.load(folder)
    assert again.facts == kept.facts
    assert again.to_dict() == kept.to_dict()
    for net in strangers.nets["net"][:5]:
        vector, layout = strangers.vector(net), strangers.layout(net)
        assert again.predict(vector, layout) == kept.predict(vector, layout)
        assert again.predict(vector) == kept.predict(vector)
    kept.save(folder)
    assert Model.load(folder).facts == kept.facts


def test_answers_go_to_json_and_frames(model, zoo):
    net = zoo.nets["net"][3]
    answer = model.predict(zoo.vector(net), zoo.layout(net))
    plain = json.loads(json.dumps(answer.to_dict()))
    assert [r["property"] for r in plain["readings"]] == list(model.properties)
    frame = answer.frame()
    total = frame.group_by("property").agg(pl.col("probability").sum())["probability"]
    np.testing.assert_allclose(total, 1)
    assert frame["named"].sum() == sum(r["value"] is not None for r in plain["readings"])
    facts = json.loads(json.dumps(model.to_dict()))
    assert facts["facts"]["nets"] == 100
    assert {p["property"] for p in facts["properties"]} == set(model.properties)


def test_the_same_call_gives_the_same_model(zoo, shallow):
    again = fit(zoo, classifier="shallow", properties=["initialization"], slice_length=LENGTH)
    vector = zoo.vector(zoo.nets["net"][0])
    assert again.predict(vector) == shallow.predict(vector)


def test_a_part_can_be_learned_and_needs_the_layout(zoo):
    conv = fit(
        zoo,
        properties=["augmentation"],
        classifier="kernel",
        part="conv",
        running_stats=False,
        slice_length=150,
    )
    net = zoo.nets["net"][0]
    answer = conv.predict(zoo.vector(net), zoo.layout(net))
    assert answer.readings["augmentation"].low > 0.55
    assert answer.readings["augmentation"].told is None
    with pytest.raises(DataError, match="vector: the kernel model needs its layout"):
        conv.predict(zoo.vector(net))


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.zeros(1000, np.float32), r"vector: 1,000 values are fewer than the 3,000 of a slice"),
        (np.zeros((10, 10), np.float32), r"vector: float32 of shape \[10, 10\]; give float32"),
        (np.zeros(5000, np.int64), r"vector: int64 of shape \[5000\]"),
        (
            np.where(np.arange(5000) < 3, np.nan, 0).astype(np.float32),
            r"vector: 3 of 5,000 values are not finite",
        ),
        (np.full(5000, np.inf), r"vector: 5,000 of 5,000 values are not finite"),
        (np.full(5000, 1e300), r"vector: holds values beyond float32"),
    ],
)
def test_vectors_that_cannot_be_read_are_refused_with_numbers(model, vector, message):
    with pytest.raises(DataError, match=message):
        model.predict(vector)


def test_a_layout_of_another_net_is_refused(model, zoo):
    layout = zoo.layout(zoo.nets["net"][0])
    with pytest.raises(DataError, match=r"vector: 5,000 values do not fit the layout's"):
        model.predict(np.zeros(5000, np.float32), layout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classifier": "oracle"}, "oracle: no such classifier"),
        ({"slice_length": 10**6}, "slice_length: 1,000,000 values do not fit"),
        ({"slices_per_net": 0}, "slices_per_net: 0"),
        ({"properties": ["speed"]}, "speed: no property"),
        ({"snapshots": ()}, r"snapshots \[\]: count from 1"),
    ],
)
def test_fit_refuses(zoo, change, message):
    with pytest.raises(UsageError, match=message):
        fit(zoo, **change)


def loop(plain, arrays):
    arrays["0.forest0.left"][1:4] = 0


def self_loop_on_one_side(plain, arrays):
    left, right = arrays["0.forest0.left"], arrays["0.forest0.right"]
    inner = int(np.flatnonzero(left != np.arange(len(left)))[0])
    right[inner] = inner


def chain(plain, arrays):
    n = len(arrays["0.forest0.left"])
    onward = np.minimum(np.arange(n) + 1, n - 1).astype(np.int32)
    arrays["0.forest0.left"], arrays["0.forest0.right"] = onward, onward.copy()
    arrays["0.forest0.roots"] = np.zeros(1, np.int32)


FOREST = [
    (loop, "a tree's node leads back or out"),
    (self_loop_on_one_side, "a tree's node leads back or out"),
    (chain, "a tree is deeper than 64"),
    (put("forest0.left", 0, 10**9), "a tree's node leads back or out"),
    (put("forest0.right", 0, -5), "a tree's node leads back or out"),
    (put("forest1.feature", 0, 10**6), "a tree reads a feature that does not exist"),
    (put("forest1.feature", 0, -1), "a tree reads a feature that does not exist"),
    (put("forest0.roots", 0, -1), "a tree has no root"),
    (put("forest0.roots", 1, 0), "a tree occurs twice"),
    (put("forest0.leaves", 0, np.nan), "array forest0.leaves is not finite"),
    (put("forest0.leaves", 0, 7), "a leaf holds no probability"),
    (lambda p, a: a.pop("0.forest0.roots"), "array forest0.roots is missing"),
    (
        lambda p, a: a.update({"0.forest0.left": a["0.forest0.left"][:-1]}),
        r"array forest0.right has the shape",
    ),
    (
        lambda p, a: a.update({"0.forest0.left": a["0.forest0.left"].astype(np.int64)}),
        "array forest0.left is int64, not int32",
    ),
]
KERNEL = [
    (say("pickle", "format"), "describes no model of weightspace"),
    (say(3, "version"), "is of format version 3, this release reads 2; fit the model again"),
    (say(1, "version"), "is of format version 1, this release reads 2; fit the model again"),
    (say({}, "structures"), "no sound model"),
    (say({"speed": [1]}, "structures", "values"), "its structures are unknown"),
    (say(["x"] * 65, "structures", "values", "kernels"), "kernels is no short list"),
    (say([-1], "structures", "values", "outputs"), "outputs has unsound values"),
    (say([[]], "structures", "values", "outputs"), "outputs has unsound values"),
    (say(["\x1b[2J"], "structures", "values", "kernels"), "kernels has unsound values"),
    (say(["3"], "structures", "values", "outputs"), "outputs has other values"),
    (say([5, 3], "structures", "values", "convolutions"), "convolutions is no range"),
    (say({"dataset": {}}, "rules"), "'dataset' cannot be read from shapes"),
    (say("dense", "rules", "filter_size", "number"), "filter_size is read from another number"),
    (say({"3x3": "9"}, "rules", "filter_size", "levels"), "filter_size has other levels"),
    (say([0.1], "readers", 0, "abilities", 0, "caution", "bounds"), "dataset has other bounds"),
    (say(7, "readers", 0, "abilities", 0, "caution", "least"), "dataset least is 7"),
    (say([{}] * 1001, "readers", 0, "abilities", 0, "caution", "steps"), "no sound steps"),
    (
        say(
            [{"start": 0, "right": 0, "nets": 0}], "readers", 0, "abilities", 0, "caution", "steps"
        ),
        "dataset has a step of 0 nets",
    ),
    (
        say(
            [{"start": start, "right": 1, "nets": 9} for start in (0.5, 0.4)],
            *("readers", 0, "abilities", 0, "caution", "steps"),
        ),
        "the steps of dataset do not ascend",
    ),
    (
        say([9999], "readers", 0, "abilities", 0, "caution", "likeness", "columns"),
        "dataset reads a feature that does not exist",
    ),
    (
        say([0, 1, 2, 3], "readers", 0, "abilities", 0, "caution", "likeness", "columns"),
        "dataset has too many columns",
    ),
    (
        say([[0.0]], "readers", 0, "abilities", 0, "caution", "likeness", "scales"),
        "dataset has scales of another shape",
    ),
    (
        say(0, *("readers", 0, "abilities", 0, "caution", "likeness", "scales", 0, 0)),
        "dataset scales is 0",
    ),
    (say(2, "readers", 0, "novelty_alarms"), "novelty_alarms is 2"),
    (say([], "readers"), "it has no classifier"),
    (say(None, "readers"), "no sound model"),
    (say("magic", "readers", 0, "kind"), "kind 'magic' is unknown"),
    (say("oracle", "readers", 0, "view", "classifier"), "classifier 'oracle' is unknown"),
    (say(10**15, "readers", 0, "view", "slices"), "slices is 1000000000000000"),
    (say(1.5, "readers", 0, "view", "slice_length"), "slice_length is no whole number"),
    (say(True, "readers", 0, "view", "evil"), "no sound model"),
    (say("0" * 16, "readers", 0, "columns"), "other layers features than this release"),
    (say(0, "readers", 0, "abilities", 0, "temperature"), "temperature is 0"),
    (say("hot", "readers", 0, "abilities", 0, "temperature"), "temperature is no number"),
    (say(["one"], "readers", 0, "abilities", 0, "levels"), "dataset has no levels"),
    (
        say("other", "readers", 0, "abilities", 0, "property"),
        "its classifiers differ in properties",
    ),
    (say(-1, "readers", 0, "numbers", "gamma"), "gamma is -1"),
    (say({}, "readers", 0, "numbers"), "no sound model"),
    (say("none", "facts"), "its facts are no mapping"),
    (put("weights", 0, np.inf), "array weights is not finite"),
    (put("knots", 0, 1e9), "knots are not ascending"),
    (put("weights", 0, 1e308), r"array weights holds values beyond 1e\+30"),
    (put("offsets", 0, -1e308), r"array offsets holds values beyond 1e\+30"),
    (put("scores", 0, -1e308), "array scores holds values beyond 100"),
    (put("landmarks", 0, 1e308), "array landmarks holds values beyond 100"),
    (put("knots", 0, -1e308), r"array knots holds values beyond 3.4\d*e\+38"),
    (put("range.high", 0, 1e308), r"array range.high holds values beyond 3.4\d*e\+38"),
    (say(1e300, "readers", 0, "numbers", "gamma"), r"gamma is 1e\+300"),
    (
        say(["one", "one"], "readers", 0, "abilities", 0, "levels"),
        "a level of dataset occurs twice",
    ),
    (
        say(["one", "\x1b[2J"], "readers", 0, "abilities", 0, "levels"),
        "a level of dataset is not printable",
    ),
    (
        say("data\nset", "readers", 0, "abilities", 0, "property"),
        r"the property 'data\\nset' is not printable",
    ),
    (lambda p, a: a.update({"0.weights": a["0.weights"][:, :-1]}), "array weights has the shape"),
    (lambda p, a: a.update({"0.landmarks": a["0.landmarks"][:0]}), "array landmarks has the shape"),
    (lambda p, a: a.pop("0.range.low"), "array range.low is missing"),
]


@pytest.mark.parametrize(("change", "message"), FOREST, ids=[m for _, m in FOREST])
def test_hostile_forests_are_refused(forest, tmp_path, change, message):
    folder = forest.save(tmp_path)
    rewrite(folder, change)
    with pytest.raises(DataError, match=message):
        Model.load(folder)


def test_a_hostile_model_that_loads_gives_numbers(model, zoo, tmp_path):
    """Every array at its bounds: what passes the checks cannot lead prediction to NaN."""
    folder = model.save(tmp_path)
    rng = np.random.default_rng(0)

    def stretch(plain, arrays):
        for name, most in (("weights", 1e30), ("offsets", 1e30), ("scores", 100)):
            own = arrays[f"0.{name}"]
            arrays[f"0.{name}"] = most * rng.choice([-1.0, 1.0], own.shape)
        arrays["0.landmarks"] = 100 * rng.choice([-1.0, 1.0], arrays["0.landmarks"].shape)
        knots = arrays["0.knots"]
        knots[:, 0], knots[:, -1] = -3.4e38, 3.4e38
        plain["readers"][0]["numbers"]["gamma"] = 1e30
        for ability in plain["readers"][0]["abilities"]:
            ability["temperature"] = 1e-3

    rewrite(folder, stretch)
    net = zoo.nets["net"][0]
    answer = Model.load(folder).predict(zoo.vector(net), zoo.layout(net))
    assert answer.classifier == "layers"
    for reading in answer.readings.values():
        assert sum(reading.probabilities) == pytest.approx(1)
        assert np.isfinite(reading.probability)


def test_a_net_without_the_snapshot_is_not_trained_on(zoo):
    short = lacking(zoo, 30, 5)
    options = {"classifier": "shallow", "properties": ["initialization"], "slice_length": LENGTH}
    assert fit(short, snapshots=(5,), **options).facts["nets"] == 70
    assert fit(short, snapshots=(1, 5), **options).facts["nets"] == 100


@pytest.mark.parametrize(("change", "message"), KERNEL, ids=[m for _, m in KERNEL])
def test_hostile_models_are_refused(model, tmp_path, change, message):
    folder = model.save(tmp_path)
    rewrite(folder, change)
    with pytest.raises(DataError, match=message):
        Model.load(folder)


def test_damaged_files_are_named(model, tmp_path):
    with pytest.raises(DataError, match=r"model.json: no such file; give the folder"):
        Model.load(tmp_path)
    folder = model.save(tmp_path)
    (folder / "arrays.safetensors").write_bytes(b"\x80\x04 no tensors")
    with pytest.raises(DataError, match=r"arrays.safetensors: not safetensors"):
        Model.load(folder)
    (folder / "arrays.safetensors").unlink()
    with pytest.raises(DataError, match=r"arrays.safetensors: no such file"):
        Model.load(folder)
    (folder / "model.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"model.json: not readable as JSON"):
        Model.load(folder)
