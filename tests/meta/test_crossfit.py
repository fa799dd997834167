"""Cross-fitting: no leak, no bias, one call for many properties, and refusals with numbers."""

from __future__ import annotations

import numpy as np
import pytest

from weightspace.errors import UsageError
from weightspace.meta import Kernel, crossfit
from weightspace.meta.design.folds import Cells, assert_apart
from weightspace.meta.design.labelings import Labelings
from weightspace.meta.evaluation.crossfit import cross_predict

N = 90


def population(signal=2.0, rows=4, seed=0, nets=N):
    """Rows that identify their net almost perfectly, and properties with and without signal."""
    rng = np.random.default_rng(seed)
    labels = {
        "clear": rng.permutation(np.arange(nets) % 3),
        "nothing": rng.permutation(np.arange(nets) % 2),
    }
    base = 3 * rng.normal(size=(nets, 6))
    base[:, :3] = signal * np.eye(3)[labels["clear"]] + 0.5 * rng.normal(size=(nets, 3))
    owners = np.repeat(np.arange(nets), rows)
    x = base[owners] + 0.05 * rng.normal(size=(len(owners), 6))
    order = rng.permutation(len(owners))
    return x[order].astype(np.float32), owners[order], labels


def by_property(scores):
    return {score.property: score for score in scores}


@pytest.mark.parametrize("classifier", ["shallow", "kernel", "forest"])
@pytest.mark.parametrize("unit", ["slice", "net"])
def test_signal_is_found_and_nets_do_not_leak(classifier, unit):
    x, nets, labels = population()
    found = by_property(crossfit(x, nets, labels, classifier=classifier, unit=unit))
    assert found["clear"].accuracy > 0.85
    assert found["clear"].low > 1 / 3
    # Rows split at random would be recognised by their net, and give nearly 1 here.
    assert found["nothing"].accuracy < 0.72
    assert found["nothing"].chance == 0.5
    assert (found["clear"].n_nets, found["clear"].n_rows) == (N, 4 * N)


def test_splitting_rows_instead_would_leak():
    """The control of the test above: these very rows do give their nets away."""
    x, nets, labels = population()
    rows = by_property(crossfit(x, np.arange(len(nets)), {k: v[nets] for k, v in labels.items()}))
    assert rows["nothing"].accuracy > 0.8


def test_permuted_labels_score_chance_on_average():
    controls = []
    for seed in range(6):
        x, nets, labels = population(seed=seed)
        for score in crossfit(x, nets, labels, permutations=12, classifier="shallow"):
            controls += [c - score.chance for c in score.controls]
    assert len(controls) == 6 * 2 * 12
    assert abs(np.mean(controls)) < 0.02


def test_labels_are_permuted_alike_for_every_seed():
    x, nets, labels = population()
    one, two = (
        [s.controls for s in crossfit(x, nets, labels, permutations=4, seed=seed)]
        for seed in (0, 1)
    )
    assert one != two
    codes = np.stack(list(labels.values()), axis=1)
    # Folds differ from seed to seed, permutations do not: cells are made once.
    seeds = [(Cells.build(codes, np.arange(N), 5), seed) for seed in (0, 1)]
    folds = [cells.fold_of(seed) for cells, seed in seeds]
    assert len({tuple(pair) for pair in zip(*folds, strict=True)}) > 5
    first, second = (cells.permutation(2) for cells, _ in seeds)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, seeds[0][0].permutation(3))


def test_a_place_is_reported_by_itself():
    x, nets, labels = population()
    places = np.arange(len(nets)) % 2
    x[places == 1] = np.random.default_rng(1).permutation(x[places == 1])
    scores = crossfit(x, nets, labels, places=places)
    assert [(s.property, s.place) for s in scores] == [
        ("clear", 0),
        ("clear", 1),
        ("nothing", 0),
        ("nothing", 1),
    ]
    assert scores[0].accuracy > 0.7
    assert scores[1].accuracy < 0.5
    assert scores[0].n_rows + scores[1].n_rows == len(nets)


def test_nets_without_rows_are_not_tested():
    x, nets, labels = population()
    kept = nets < 40
    (score, _) = crossfit(x[kept], nets[kept], labels)
    assert score.n_nets == 40


def test_the_same_call_gives_the_same_numbers():
    x, nets, labels = population()
    first = crossfit(x, nets, labels, permutations=2)
    assert first == crossfit(x, nets, labels, permutations=2)
    assert first != crossfit(x, nets, labels, permutations=2, seed=1)


def test_order_of_rows_does_not_matter():
    x, nets, labels = population()
    fold = np.arange(N) % 5
    codes = np.stack(list(labels.values()), axis=1)
    order = np.random.default_rng(0).permutation(len(nets))
    # Every row a landmark: which rows are drawn cannot matter then.
    estimator = Kernel(landmarks=len(nets))
    labelings = Labelings.of(codes)
    one = cross_predict(x, nets, labelings, fold, np.arange(N), estimator, detailed=1)
    two = cross_predict(x[order], nets[order], labelings, fold, np.arange(N), estimator, detailed=1)
    np.testing.assert_array_equal(one.net_answers, two.net_answers)
    for a, b in zip(one.log_probabilities[0], two.log_probabilities[0], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    for hits, answers, column in zip(
        one.slice_hits[:, 0, 0].T, one.slice_answers[0], codes.T, strict=True
    ):
        right = answers[np.arange(N), 0, column] / answers[:, 0].sum(axis=1)
        np.testing.assert_allclose(hits, right, atol=1e-6)


def test_net_answers_are_averaged_log_probabilities():
    x, nets, labels = population(signal=0.5)
    codes = labels["clear"][:, None]
    fold, own = np.arange(N) % 5, np.arange(N)
    predicted = cross_predict(x, nets, Labelings.of(codes), fold, own, Kernel(), detailed=1)
    answers = predicted.log_probabilities[0][0][:, 0].argmax(axis=1)
    np.testing.assert_array_equal(predicted.net_answers[:, 0, 0, 0], answers)
    np.testing.assert_array_equal(predicted.net_hits[:, 0, 0, 0], answers == codes[:, 0])


def test_only_taught_rows_are_trained_on_and_all_are_predicted():
    """The second row of each net points at the other level, which must not be learned."""
    rng = np.random.default_rng(0)
    codes = np.arange(N)[:, None] % 2
    nets = np.repeat(np.arange(N), 2)
    sign = np.tile([1, -1], N) * (2 * codes[nets, 0] - 1)
    x = (sign[:, None] + 0.1 * rng.normal(size=(2 * N, 3))).astype(np.float32)
    first = np.tile([True, False], N)
    found = cross_predict(
        x, nets, Labelings.of(codes), np.arange(N) % 5, np.arange(N), Kernel(),
        places=(~first).astype(int), taught=first,
    )  # fmt: skip
    assert found.slice_hits[:, 0].mean() > 0.95
    assert found.slice_hits[:, 1].mean() < 0.05


def test_folds_are_balanced_in_every_property_at_once():
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, k, 300) for k in (2, 3, 4, 5, 2, 3)], axis=1)
    cells = Cells.build(codes, np.arange(300), 5)
    assert not np.array_equal(cells.fold_of(0), cells.fold_of(1))
    for seed in range(5):
        fold = cells.fold_of(seed)
        sizes = np.bincount(fold, minlength=5)
        assert sizes.max() - sizes.min() <= 8
        for column in codes.T:
            share = np.stack([np.bincount(column[fold == f]) / sizes[f] for f in range(5)])
            whole = np.bincount(column) / 300
            assert np.abs(share - whole).max() < 0.06


def test_permuted_labels_are_as_balanced_as_the_true_ones():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (200, 3))
    cells = Cells.build(codes, np.arange(200), 5)
    for seed in range(3):
        fold = cells.fold_of(seed)
        for index in range(3):
            origin = cells.permutation(index)
            assert sorted(origin) == list(range(200))
            assert (origin != np.arange(200)).mean() > 0.8
            for f in range(5):
                np.testing.assert_array_equal(
                    np.sort(codes[origin][fold == f], axis=0), np.sort(codes[fold == f], axis=0)
                )


def test_nets_of_one_seed_stay_together():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(50), 3)
    codes = rng.integers(0, 2, (150, 2))
    fold = Cells.build(codes, groups, 5).fold_of(0)
    assert all(len(set(fold[groups == f])) == 1 for f in range(50))
    x, nets, _ = population()
    twins = np.arange(N) // 2
    # Twins share all but noise; told apart from their group, they would give labels away.
    pairs = {"nothing": np.random.default_rng(1).permutation(np.arange(N // 2) % 2)[twins]}
    x = x[np.argsort(nets, kind="stable")]
    x = x.reshape(N, 4, -1)[twins * 2].reshape(len(nets), -1)
    x += 0.05 * np.random.default_rng(2).normal(size=x.shape).astype(np.float32)
    owners = np.repeat(np.arange(N), 4)
    assert crossfit(x, owners, pairs)[0].accuracy > 0.8
    assert crossfit(x, owners, pairs, net_groups=twins)[0].accuracy < 0.75


@pytest.mark.parametrize("count", [5, 7, 10, 24])
def test_few_seeds_still_fill_all_folds_of_every_seed(count):
    groups = np.arange(300) % count
    codes = np.random.default_rng(0).integers(0, 3, (300, 4))
    cells = Cells.build(codes, groups, 5)
    for seed in range(40):
        fold = cells.fold_of(seed)
        assert set(fold) == set(range(5))
        assert all(len(set(fold[groups == f])) == 1 for f in range(count))
        # No fold has more than a seed's nets above its share.
        assert np.bincount(fold).max() <= 60 + 300 // count + 1


def test_small_groups_fill_the_room_beside_large_ones():
    groups = np.repeat(np.arange(60), [20] * 4 + [2] * 50 + [1] * 6)
    codes = np.random.default_rng(0).integers(0, 3, (len(groups), 4))
    # 186 nets in ten cells, of which four are full with one group.
    assert np.bincount(Cells.build(codes, groups, 5).cell).max() == 20


def test_fewer_seeds_than_folds_are_refused():
    x, nets, labels = population()
    with pytest.raises(
        UsageError, match=rf"the {N} nets were trained from 4, and nets of one seed"
    ):
        crossfit(x, nets, labels, net_groups=np.arange(N) % 4)
    assert crossfit(x, nets, labels, net_groups=np.arange(N) % 5)[0].accuracy > 0


def test_a_leak_is_loud():
    groups = np.array([0, 1, 2, 2])
    assert_apart(np.array([0, 1]), np.array([2, 3]), groups)
    with pytest.raises(AssertionError, match="net 1 is on both sides"):
        assert_apart(np.array([0, 1]), np.array([1, 2]), groups)
    with pytest.raises(AssertionError, match="nets of one seed"):
        assert_apart(np.array([0, 2]), np.array([1, 3]), groups)
    x, nets, labels = population()
    codes = labels["clear"][:, None]
    with pytest.raises(AssertionError, match="nets of one seed"):
        cross_predict(x, nets, Labelings.of(codes), np.arange(N) % 5, np.arange(N) // 2, Kernel())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nets": 20}, r"too few nets for an interval: 20 usable, 5 folds need 25"),
        ({"rare": 3}, r"rare level 1 has 3 of 90 nets, 5 folds need 5"),
        ({"rare": 0}, r"rare: every net has level 0, so there is nothing to predict"),
        ({"unit": "layer"}, r"unit: 'layer' is none of slice, net"),
        ({"classifier": "oracle"}, r"oracle: no such classifier; known are shallow, kernel"),
        ({"folds": 1}, r"folds: 1 cannot be split"),
    ],
)
def test_refusals_name_the_numbers(change, message):
    x, nets, labels = population()
    if "nets" in change:
        kept = nets < change.pop("nets")
        x, nets = x[kept], nets[kept]
    if "rare" in change:
        labels["rare"] = (np.arange(N) < change.pop("rare")).astype(int)
    with pytest.raises(UsageError, match=message):
        crossfit(x, nets, labels, **change)


def test_no_labels_are_refused():
    with pytest.raises(UsageError, match="labels: none to predict"):
        crossfit(np.zeros((50, 3), np.float32), np.arange(50), {})
