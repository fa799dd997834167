"""Nets that share a seed are no independent witnesses, in whatever interval they count."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from support.populations import synthetic_zoo
from weightspace.dissection import dissect
from weightspace.dissection.reader import Outcomes
from weightspace.meta import Evaluation, evaluate
from weightspace.meta.evaluation.result import HIT_COLUMNS
from weightspace.meta.statistics import intervals, pairs
from weightspace.meta.statistics.intervals import normal_interval
from weightspace.meta.statistics.numbers import kendall_interval, r_squared_interval, wider
from weightspace.zoo import Zoo

GROUPS, EACH, LEVELS = 12, 15, 3
NETS = GROUPS * EACH
GROUP, LEVEL = np.repeat(np.arange(GROUPS), EACH), np.arange(NETS) % LEVELS
ODDS = (4, 1)
"""Of the share of its nets that are read rightly, a group's Beta distribution: mean 0.8."""
MEAN = 0.8
TRIALS = 200


def hits(rng: np.random.Generator) -> np.ndarray:
    """Of the nets, float64 [net]: those of a group are read well or badly together."""
    return (rng.random(NETS) < rng.beta(*ODDS, GROUPS)[GROUP]).astype(float)


def evaluation(first: np.ndarray, second: np.ndarray, group: list[int | None]) -> Evaluation:
    frames = [
        pl.DataFrame(
            {
                "property": "optimizer", "classifier": name, "unit": "net",
                "net": [f"{i:016x}" for i in range(NETS)], "level": LEVEL, "group": group,
                "dead": False, "hit": own,
            },
            schema=HIT_COLUMNS,
        )
        for name, own in (("one", first), ("two", second))
    ]  # fmt: skip
    return Evaluation(pl.DataFrame(), hits=pl.concat(frames))


def accuracy(rng: np.random.Generator, group: np.ndarray | None) -> tuple[float, float, float]:
    own = np.stack([hits(rng)], axis=1)[:, :, None]
    alone = np.arange(NETS) if group is None else group
    row = Outcomes(own, LEVEL[:, None, None], alone).score(0)
    return row["low"], MEAN, row["high"]


def accuracy_of_a_map(rng: np.random.Generator, group: np.ndarray | None) -> tuple[float, ...]:
    found = normal_interval(hits(rng), LEVEL, groups=group)
    return found.low, MEAN, found.high


def loss(rng: np.random.Generator, group: np.ndarray | None) -> tuple[float, float, float]:
    alone = np.arange(NETS) if group is None else group
    made = Outcomes(np.zeros((NETS, 1, 1)), LEVEL[:, None, None], alone)
    row = made.loss(0, hits(rng) - hits(rng))
    return row["drop_low"], 0.0, row["drop_high"]


def difference(rng: np.random.Generator, group: np.ndarray | None) -> tuple[float, float, float]:
    known = [None] * NETS if group is None else group.tolist()
    (row,) = evaluation(hits(rng), hits(rng), known).compare("one", "two").to_dicts()
    return row["low"], 0.0, row["high"]


def living(rng: np.random.Generator, group: np.ndarray | None) -> tuple[float, float, float]:
    known = [None] * NETS if group is None else group.tolist()
    row = evaluation(hits(rng), hits(rng), known).among_living().to_dicts()[0]
    return row["low"], MEAN, row["high"]


@pytest.mark.parametrize("interval", [accuracy, accuracy_of_a_map, loss, difference, living])
def test_intervals_cover_the_truth_only_if_groups_are_resampled(interval):
    """Accuracies, losses and comparisons of what, slices, unseen, transfer and `Evaluation`."""
    share = {}
    for name, group in (("apart", None), ("together", GROUP)):
        rng = np.random.default_rng(0)
        ends = [interval(rng, group) for _ in range(TRIALS)]
        share[name] = np.mean([low <= truth <= high for low, truth, high in ends])
    assert share["together"] > 0.92, share
    assert share["apart"] < share["together"] - 0.04, share


@pytest.fixture(scope="module")
def related(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """A zoo whose nets share 15 seeds; nets of one seed have one filter size."""
    zoo = synthetic_zoo(tmp_path_factory.mktemp("related") / "zoo", nets=90)
    turn = pl.int_range(pl.len()).over("filter_size") % 5
    zoo.nets = zoo.nets.with_columns((pl.col("filter_size") * 10 + turn).alias("seed"))
    return zoo


def test_every_interval_of_a_zoo_knows_the_groups(related, monkeypatch):
    seen: list[bool] = []
    known = intervals.shared

    def listening(groups):
        seen.append(known(groups))
        return known(groups)

    monkeypatch.setattr(intervals, "shared", listening)
    monkeypatch.setattr(pairs, "shared", listening)
    quick = {"properties": ["filter_size", "augmentation"], "slice_length": 500, "seeds": (0,)}
    quick |= {"slices_per_net": 2, "permutations": 0, "classifiers": ["shallow"]}
    also = ("slices", "transfer", "what", "unseen")
    found = dissect(related, positions=1, snapshots=(1, -1), also=also, **quick)
    assert not found.unseen.frame().is_empty()
    # Of one level left out alone the nets may all be of other groups; here they are not.
    assert len(seen) > 100
    assert all(seen)
    seen.clear()
    own = evaluate(related, **quick)
    own.compare("shallow", "shallow", "slice")
    own.among_living()
    assert len(seen) >= 3
    assert all(seen)


@pytest.mark.parametrize("measure", [r_squared_interval, kendall_interval])
def test_numbers_are_no_surer_than_their_groups(measure):
    """Guesses of nets of a group are wrong together."""
    rng = np.random.default_rng(0)
    nets, truth = np.arange(NETS), rng.normal(size=NETS)
    guess = truth + rng.normal(size=GROUPS)[GROUP] * rng.normal(1, 0.1, NETS)
    guess = guess[:, None] if measure is r_squared_interval else guess
    alone, together = measure(truth, guess, nets), wider(measure, truth, guess, nets, GROUP)
    assert wider(measure, truth, guess, nets, nets) == alone
    assert together.value == alone.value
    assert together.high - together.low > 1.2 * (alone.high - alone.low)


def test_hits_of_the_first_release_have_no_groups(related, tmp_path):
    """They open, and each net counts by itself."""
    found = evaluate(
        related, properties=["augmentation"], classifiers=["shallow"], slice_length=500,
        seeds=(0,), permutations=0,
    )  # fmt: skip
    found.to_parquet(tmp_path)
    pl.read_parquet(tmp_path / "hits.parquet").drop("group").write_parquet(
        tmp_path / "hits.parquet"
    )
    read = Evaluation.read(tmp_path)
    assert read.hits["group"].is_null().all()
    assert read.among_living()["accuracy"].to_list() == found.among_living()["accuracy"].to_list()
    assert found.to_parquet(tmp_path) == tmp_path  # in the place of the older table
