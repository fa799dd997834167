"""`regress`: numbers that are in the weights are read, others are not, and intervals cover."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.kernel_ridge import KernelRidge as Plain
from sklearn.metrics import r2_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from support.populations import SPACE, lacking, synthetic_zoo
from weightspace.errors import UsageError
from weightspace.meta import KernelRidge, Regression, Study, regress
from weightspace.meta.evaluation.problems import PROGRESS, guessed, of_progress, steps_of
from weightspace.meta.evaluation.regression import COLUMNS, GUESS_COLUMNS, refusal
from weightspace.meta.statistics.numbers import (
    kendall,
    kendall_interval,
    r_squared,
    r_squared_interval,
)
from weightspace.progress import silent
from weightspace.space import Constant, Space
from weightspace.zoo import Zoo


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([KernelRidge(landmarks=60)])
def test_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


def test_with_every_row_a_landmark_it_is_kernel_ridge():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    y = np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], axis=1)
    own = KernelRidge(landmarks=80, ridge=1e-3).fit(x, y)
    scores, landmarks = own.map_.gaussianiser(x), own.map_.landmarks
    # The same function space with the constant set apart: centre targets and kernel columns.
    kernel = own.map_(x) - own.mean_
    penalty = np.linalg.cholesky(own.map_.penalty)
    root = np.linalg.solve(penalty, kernel.T).T
    plain = Plain(alpha=1e-3 * len(x)).fit(root, y - y.mean(axis=0))
    np.testing.assert_allclose(own.predict(x), plain.predict(root) + y.mean(axis=0), atol=1e-4)
    assert landmarks.shape == scores.shape


def test_figures_are_those_of_others():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=300)
    guess = truth + rng.normal(size=300)
    assert r_squared(truth, guess) == pytest.approx(r2_score(truth, guess))
    assert kendall(truth, guess) == pytest.approx(stats.kendalltau(truth, guess).statistic)
    assert kendall(truth, np.zeros(300)) == 0


def test_intervals_cover_as_often_as_they_say():
    """Independent nets with three rows each: at least 95 % of intervals hold the true figure."""
    rng = np.random.default_rng(2)
    nets = np.repeat(np.arange(80), 3)
    truth_r2 = 1 - (0.5**2 + 0.5**2) / 2.0
    covered_r2, covered_tau, widths, spread = [], [], [], []
    many = rng.normal(size=(2, 200_000))
    x = np.sqrt(2) * many[0]
    true_tau = 2 / np.pi * np.arcsin(np.corrcoef(x, x + np.sqrt(0.5) * many[1])[0, 1])
    for _ in range(150):
        truth = np.repeat(rng.normal(size=80), 3) + rng.normal(size=240)
        error = np.repeat(0.5 * rng.normal(size=80), 3) + 0.5 * rng.normal(size=240)
        found = r_squared_interval(truth, (truth + error)[:, None], nets, resamples=200)
        covered_r2.append(found.low <= truth_r2 <= found.high)
        tau = kendall_interval(truth, truth + error, nets)
        covered_tau.append(tau.low <= true_tau <= tau.high)
        widths.append((tau.high - tau.low) / 2 / 1.96)
        spread.append(tau.value)
    assert np.mean(covered_r2) > 0.93
    assert np.mean(covered_tau) > 0.93
    # And not by being boundless: within what widening for cross-fitting allows.
    assert np.mean(widths) < 2 * np.std(spread)


def test_an_interval_counts_nets_not_rows():
    rng = np.random.default_rng(3)
    truth, noise = rng.normal(size=60), rng.normal(size=60)
    once = kendall_interval(truth, truth + noise, np.arange(60))
    nets = np.repeat(np.arange(60), 10)
    tenfold = kendall_interval(np.repeat(truth, 10), np.repeat(truth + noise, 10), nets)
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low, rel=0.2)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return synthetic_zoo(tmp_path_factory.mktemp("regression") / "zoo", nets=100)


@pytest.fixture(scope="module")
def found(zoo):
    return regress(zoo, slice_length=1000, slices_per_net=4, seeds=(0, 1), permutations=5)


def test_the_tables_have_the_schema_of_the_house(zoo, found):
    frame = found.frame()
    assert dict(frame.schema) == COLUMNS
    assert dict(found.guesses.schema) == GUESS_COLUMNS
    assert frame["target"].unique(maintain_order=True)[0] == "learning_rate"
    assert set(frame["n_nets"]) == {100}
    ordered = (pl.col("r2_low") <= pl.col("r2")) & (pl.col("r2") <= pl.col("r2_high"))
    assert frame.select(ordered.all()).item()
    whole = found.guesses.filter(target="learning_rate", classifier="layers")
    assert sorted(whole["net"]) == sorted(zoo.nets["net"])


def test_a_number_that_is_not_in_the_weights_is_not_read(found):
    """The synthetic weights know nothing of the learning rate."""
    for row in found.frame().filter(target="learning_rate").to_dicts():
        assert row["r2_low"] < max(0.0, row["r2_control_high"])
        assert row["tau_low"] < max(0.0, row["tau_control_high"])


def test_a_number_that_is_in_the_weights_is_read(found):
    """Snapshots of the synthetic nets move away from where they began."""
    rows = found.frame().filter(target="progress", unit="net").to_dicts()
    assert rows
    for row in rows:
        assert row["r2_low"] > max(0.0, row["r2_control_high"])
        assert row["tau_low"] > max(0.0, row["tau_control_high"])


def test_the_control_of_progress_permutes_snapshots_not_slices(zoo):
    """All slices of a snapshot are given one number, and each snapshot of a net another's."""
    study = replace(Study.of(zoo, slice_length=500, permutations=0), permutations=2)
    steps = steps_of(zoo, study.labels, 4)
    problem = of_progress(study, "kernel", steps, seed=0, progress=silent)
    truth, _ = guessed(problem, study, 0)
    rows = pl.DataFrame({"net": problem.owners, "snapshot": problem.snapshots}).with_columns(
        truth=truth[:, 0], first=truth[:, 1], second=truth[:, 2]
    )
    assert list(problem.targets) == [PROGRESS]
    snapshots = rows.unique().sort("net", "snapshot")
    assert (rows.height, snapshots.height) == (100 * 4 * 2, 100 * 4)
    once = snapshots.group_by("net").agg(pl.col("truth", "first", "second").sort())
    assert (once["first"] == once["truth"]).all()
    assert (once["second"] == once["truth"]).all()
    for one, other in (("truth", "first"), ("truth", "second"), ("first", "second")):
        # Of 400 draws a quarter agree by luck, give or take 10.
        assert 60 < (snapshots[one] == snapshots[other]).sum() < 145


def ends_better(zoo, of):
    """The zoo as if nets with augmentation, which conv weights show in the end, ended better."""
    told = Zoo(zoo.path)
    noise = np.random.default_rng(0).normal(0, 0.01, told.nets.height)
    told.nets = told.nets.with_columns(test_accuracy=0.5 + 0.3 * pl.col(of) + noise)
    return told


@pytest.mark.parametrize(
    ("part", "snapshots", "there"),
    [("conv", (-1,), True), ("conv", (1,), False), ("fc", (-1,), False), ("conv", (1, 5), True)],
)
def test_only_what_was_asked_for_is_read(zoo, part, snapshots, there):
    found = regress(
        ends_better(zoo, "augmentation"), targets=["test_accuracy"], slice_length=400,
        part=part, snapshots=snapshots, slices_per_net=4, seeds=(0,), permutations=5,
    )  # fmt: skip
    for row in found.frame().filter(unit="net").to_dicts():
        assert (row["r2_low"] > max(0.0, row["r2_control_high"])) == there, row["classifier"]
        assert (row["part"], row["running_stats"]) == (part, True)
        assert row["snapshots"] == ", ".join(map(str, snapshots))
    moment = snapshots[0] if len(snapshots) == 1 else None
    for classifier in ("kernel", "layers"):  # a guess a net, of all its snapshots together
        guesses = found.guesses.filter(classifier=classifier)
        assert guesses["snapshot"].unique().to_list() == [moment]
        assert sorted(guesses["net"]) == sorted(zoo.nets["net"])


def test_nets_without_the_snapshots_are_left_out(zoo):
    short, gone = lacking(zoo, 8, 4), zoo.nets["net"][:8].to_list()
    options = {"targets": ["test_accuracy"], "slice_length": 1000, "slices_per_net": 2}
    options |= {"seeds": (0,), "permutations": 0}
    found = regress(short, snapshots=(4,), **options)
    assert set(found.frame()["n_nets"]) == {92}
    assert not set(found.guesses["net"]) & set(gone)
    assert set(regress(short, snapshots=(2, 4), **options).frame()["n_nets"]) == {100}


def test_progress_is_read_off_many_moments_whatever_the_snapshots(zoo):
    found = regress(
        zoo, targets=["progress"], snapshots=(1,), slice_length=400, part="fc", moments=3,
        slices_per_net=4, seeds=(0,), permutations=0,
    )  # fmt: skip
    assert set(found.frame()["snapshots"]) == {"1, 3, 5"}
    assert set(found.frame()["part"]) == {"fc"}
    assert set(found.guesses["snapshot"]) == {1, 3, 5}


def test_tables_come_back_from_disk_and_go_from_it(found, tmp_path):
    again = Regression.read(found.to_parquet(tmp_path))
    assert again.frame().equals(found.frame())
    assert again.guesses.equals(found.guesses)
    Regression.remove(tmp_path)
    Regression.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_published_tables_are_those_of_this_code():
    stored = Path(__file__).parents[2] / "docs" / "results" / "five-sets" / "numbers"
    assert set(Regression.read(stored).frame()["part"]) == {"all"}


def test_what_will_be_refused_is_known_before(zoo, tmp_path):
    assert refusal(Study.of(zoo)) is None
    assert refusal(Study.of(zoo, folds=17)) == (
        "nets: 100 are too few for an interval of a regression with 17 folds; it needs 102"
    )
    space = Space("plain", SPACE.distributions | {"learning_rate": Constant(1e-3)})
    plain = synthetic_zoo(tmp_path / "zoo", nets=40, space=space)
    plain.nets = plain.nets.with_columns(test_accuracy=0.5)
    plain.snapshots = plain.snapshots.filter(snapshot=5)
    assert refusal(Study.of(plain)) == "targets: no number varies and is on record for every net"
    with pytest.raises(UsageError, match="no number varies"):
        regress(plain, slice_length=1000)
    with pytest.raises(UsageError, match="too few nets for an interval"):
        refusal(Study.of(zoo, folds=30))  # as `evaluate` would


def test_refusals_name_what_is_known(zoo):
    with pytest.raises(UsageError, match=r"speed: no number .*; known are learning_rate"):
        regress(zoo, targets=["speed"], slice_length=1000)
    with pytest.raises(UsageError, match=r"nets: 100 are too few .* it needs 240"):
        regress(zoo, folds=40, slice_length=1000)
