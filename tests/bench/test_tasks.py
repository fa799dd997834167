"""No net is on both sides of a task, and nothing but weights reaches an encoder."""

from __future__ import annotations

import numpy as np
import pytest

from weightspace.bench import POPULATIONS, lessons_of
from weightspace.bench.tasks import JUDGES
from weightspace.errors import UsageError


@pytest.fixture(params=JUDGES)
def lessons(request, zoo):
    return {one.name: one for one in lessons_of(zoo, POPULATIONS["aligned"], request.param)}


def test_no_net_is_taught_and_judged(lessons):
    for lesson in lessons.values():
        taught = set(lesson.taught.rows.nets)
        assert len(taught) > 20
        for judged in lesson.judged.values():
            assert judged.rows.nets.size
            assert not taught & set(judged.rows.nets), lesson.name


def test_validation_reads_no_test_net(zoo):
    known = POPULATIONS["aligned"]
    test = {net for net, side in known.split.items() if side == "test"}
    read = set()
    for lesson in lessons_of(zoo, known, "validation"):
        for one in (lesson.taught, *lesson.judged.values()):
            read |= set(one.rows.nets)
    assert len(test) == 20
    assert not test & read
    assert len(read) == 80


def test_targets_are_what_the_recipes_say(zoo, lessons):
    truth = dict(zoo.nets.select("net", "optimizer").iter_rows())
    for name in ("properties", "progress", "without activation=tanh"):
        for one in (lessons[name].taught, *lessons[name].judged.values()):
            for target in one.targets:
                assert len(target.values) == len(one.rows)
                if target.name == "optimizer":
                    found = [target.levels[code] for code in target.values]
                    assert found == [truth[net] for net in one.rows.nets]


def test_a_held_out_level_is_not_taught(zoo, lessons):
    lesson = lessons["without activation=tanh"]
    level = dict(zoo.nets.select("net", "activation").iter_rows())
    (judged,) = lesson.judged.values()
    assert {level[net] for net in lesson.taught.rows.nets} == {"relu"}
    assert {level[net] for net in judged.rows.nets} == {"tanh"}
    assert "activation" not in {one.name for one in judged.targets}


def test_the_control_is_taught_the_labels_of_others(lessons):
    true, control = lessons["properties"].taught, lessons["control"].taught
    assert list(true.rows.nets) == list(control.rows.nets)
    for one, other in zip(true.targets[:-1], control.targets, strict=True):
        assert sorted(one.values) == sorted(other.values)
        assert (one.values != other.values).any()
    (true,), (control,) = (lessons[name].judged.values() for name in ("properties", "control"))
    assert list(true.rows.nets) == list(control.rows.nets)
    for one, other in zip(true.targets[:-1], control.targets, strict=True):
        assert sorted(one.values) == sorted(other.values)
        assert (one.values != other.values).any()


def test_progress_has_all_snapshots_of_a_net(zoo, lessons):
    taught = lessons["progress"].taught
    first = taught.rows.nets == taught.rows.nets[0]
    assert taught.rows.snapshots[first].tolist() == [1, 2, 3, 4, 5]
    assert taught.targets[0].values[first].tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_rows_are_the_weights_of_the_zoo(zoo, lessons):
    rows = lessons["progress"].taught.rows
    net, snapshot = str(rows.nets[7]), int(rows.snapshots[7])
    vector = zoo.vector(net, snapshot)
    assert np.array_equal(rows.vector(7), vector)
    parts = [values.ravel() for _, values in rows.tensors(7)]
    assert np.array_equal(np.concatenate(parts), vector)
    few = rows[np.arange(3)]
    assert few.weights.shape == (3, len(vector))
    assert np.array_equal(few.weights[2], rows.vector(2))


def test_set_aside_keeps_nets_together(lessons):
    rows = lessons["progress"].taught.rows
    aside = rows.set_aside(0.25, seed=3)
    assert not set(rows.nets[aside]) & set(rows.nets[~aside])
    assert aside.mean() == pytest.approx(0.25, abs=0.01)
    assert np.array_equal(aside, rows.set_aside(0.25, seed=3))
    assert not np.array_equal(aside, rows.set_aside(0.25, seed=4))


def test_raw_weights_of_several_architectures_are_refused(tmp_path):
    from support.populations import synthetic_zoo
    from weightspace.bench import Rows

    zoo = synthetic_zoo(tmp_path / "zoo", 20)
    rows = Rows(zoo, zoo.nets["net"].to_numpy(), np.full(20, -1))
    with pytest.raises(UsageError, match="have 3 architectures"):
        rows.weights  # noqa: B018
