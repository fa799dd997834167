"""Runs of an ordinary loop become nets of a zoo, with what is known of them and nothing else."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import weightspace
from support.populations import synthetic_zoo
from support.recorded import SNAPSHOTS, STEPS, net, recorder, steps, train
from weightspace.errors import DataError, UsageError
from weightspace.recording import Recorder
from weightspace.space import Choice, Constant, Uniform, Unknown
from weightspace.zoo import Zoo, check


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Zoo:
    path = tmp_path_factory.mktemp("recorded") / "zoo"
    train(path, "first", 0, augmentation=False, group="a")
    train(path, "second", 1, lr=0.01, augmentation=True)
    return Zoo(path)


def test_a_run_is_a_net_with_its_recipe(recorded):
    first, second = recorded.nets.sort("index").to_dicts()
    assert (first["net"], first["seed"], first["steps"]) == ("first", 0, STEPS)
    assert (first["optimizer"], first["learning_rate"], first["weight_decay"]) == ("adam", 1e-3, 0)
    assert (first["dataset"], first["batch_size"], first["augmentation"]) == ("noise", 8, False)
    assert (first["beta1"], first["beta2"], first["model"]) == (0.9, 0.999, "Sequential")
    assert (first["group"], second["group"]) == ("a", None)
    assert second["learning_rate"] == 0.01
    unknown = ("activation", "initialization", "dropout", "epochs", "outputs", "dead")
    assert [first[name] for name in unknown] == [None] * len(unknown)
    assert not first["diverged"]
    assert check(recorded.path, full=True) == []


def test_snapshots_are_equal_fractions_with_their_metrics(recorded):
    rows = recorded.snapshots.filter(net="first").to_dicts()
    assert [row["step"] for row in rows] == [0, 5, 10, 15, 20]
    assert [row["test_accuracy"] for row in rows] == [None, 0.5, 0.5, 0.5, 0.5]
    assert rows[0]["batch_loss"] is None
    assert rows[1]["batch_loss"] > rows[-1]["batch_loss"] > 0
    assert recorded.nets["test_accuracy"].to_list() == [0.5, 0.5]
    assert recorded.meta["info"]["snapshots"] == SNAPSHOTS


def test_the_space_has_what_occurs(recorded):
    found = recorded.space.distributions
    assert recorded.space.properties == ("learning_rate", "augmentation")
    assert found["learning_rate"] == Choice((0.001, 0.01))
    assert found["optimizer"] == Constant("adam")
    assert found["dropout"] == Unknown()


def test_many_different_numbers_become_a_range(tmp_path):
    for i in range(12):
        train(tmp_path / "zoo", f"n{i}", i, lr=0.001 * 2**i)
    found = Zoo(tmp_path / "zoo").space.distributions["learning_rate"]
    assert found == Uniform(0.001, 2.048, "log")


@pytest.mark.parametrize("wrapped", [False, True])
def test_vectors_are_those_of_a_checkpoint(tmp_path, wrapped):
    model = net()
    shown = nn.DataParallel(model) if wrapped else model
    files = []
    (tmp_path / "files").mkdir()

    def save():
        files.append(tmp_path / "files" / f"{len(files)}.pt")
        torch.save(shown.state_dict(), files[-1])

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    save()
    with recorder(tmp_path / "zoo").run(shown, name="a", optimizer=optimizer) as run:
        for step in range(5, STEPS + 1, 5):
            steps(model, optimizer, run, step)
            save()
    zoo = Zoo(tmp_path / "zoo")
    for number, file in enumerate(files, 1):
        checkpoint = weightspace.read_checkpoint(file)
        assert checkpoint.layout.key == zoo.layout("a").key
        np.testing.assert_array_equal(zoo.vector("a", number), checkpoint.vector)
    added = weightspace.add(tmp_path / "files", tmp_path / "added")
    assert set(added.nets["layout"]) == set(zoo.nets["layout"])
    assert zoo.nets["optimizer"][0] == "momentum"


@pytest.mark.parametrize("kind", ["weight norm", "spectral norm", "bfloat16", "float64", "tied"])
def test_models_that_store_weights_otherwise(tmp_path, kind):
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6))
    if kind == "weight norm":
        nn.utils.parametrizations.weight_norm(model[0])
    elif kind == "spectral norm":
        nn.utils.parametrizations.spectral_norm(model[2])
    elif kind == "tied":
        model.append(nn.Linear(6, 8, bias=False))
        model[3].weight = model[0].weight
    else:
        model.to(getattr(torch, kind))
    model.eval()
    with recorder(tmp_path / "zoo").run(model, name="a", step=STEPS):
        pass
    torch.save(model.state_dict(), tmp_path / "net.pt")
    checkpoint = weightspace.read_checkpoint(tmp_path / "net.pt")
    zoo = Zoo(tmp_path / "zoo")
    assert zoo.layout("a").key == checkpoint.layout.key
    np.testing.assert_array_equal(zoo.vector("a"), checkpoint.vector)


def test_a_known_architecture_has_the_layout_of_its_plan(tmp_path):
    recipe = weightspace.preset("demo").draw(1, seed=0)[0]
    model = weightspace.sequential(recipe)
    told = {name: value for name, value in recipe.to_dict().items() if name != "seed"}
    with Recorder(tmp_path / "zoo", told, total_steps=20).run(model, name="a", step=20):
        pass
    from weightspace.networks import Plan

    assert Zoo(tmp_path / "zoo").layout("a").key == Plan.from_recipe(recipe).layout().key


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda p: torch.optim.SGD(p, lr=0.1), ("sgd", 0.1, 0.0)),
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), ("momentum", 0.1, 0.0)),
        (lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1), ("adamw", 0.01, 0.1)),
        (lambda p: torch.optim.Adam(p, decoupled_weight_decay=True), ("adamw", 0.001, 0.0)),
        (lambda p: torch.optim.RMSprop(p, lr=torch.tensor(0.5)), ("rmsprop", 0.5, 0.0)),
        (lambda p: torch.optim.Rprop(p), ("rprop", 0.01, None)),
        (lambda p: torch.optim.Adam([{"params": [q], "lr": 0.1 * (i + 1)}
                                     for i, q in enumerate(p)]), ("adam", None, 0.0)),
    ],
)  # fmt: skip
def test_what_an_optimizer_says_is_read_and_nothing_is_guessed(tmp_path, make, expected):
    model = net()
    optimizer = make(list(model.parameters()))
    with recorder(tmp_path / "zoo").run(model, optimizer=optimizer, step=STEPS):
        pass
    row = Zoo(tmp_path / "zoo").nets.row(0, named=True)
    found = (row["optimizer"], row["learning_rate"], row["weight_decay"])
    assert found == pytest.approx(expected)


def test_a_schedule_is_read_with_the_rate_at_its_start(tmp_path):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)
    run = recorder(tmp_path / "zoo").run(model, optimizer=optimizer, scheduler=scheduler, step=20)
    run.close()
    row = Zoo(tmp_path / "zoo").nets.row(0, named=True)
    assert row["schedule"] == "OneCycleLR"
    assert row["learning_rate"] == optimizer.param_groups[0]["initial_lr"]


def test_training_that_ends_early_ends_with_a_snapshot(tmp_path):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with recorder(tmp_path / "zoo").run(model, name="a", optimizer=optimizer) as run:
        steps(model, optimizer, run, 12)
    assert run.kept == (0, 5, 10, 12)
    zoo = Zoo(tmp_path / "zoo")
    assert zoo.nets["steps"].to_list() == [12]
    assert zoo.snapshots["step"].to_list() == [0, 5, 10, 12]
    assert check(zoo.path, full=True) == []


def test_training_that_goes_on_is_told(tmp_path):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = recorder(tmp_path / "zoo").run(model, name="a", optimizer=optimizer)
    steps(model, optimizer, run, STEPS + 1)
    with pytest.warns(UserWarning, match="made 21 steps, and its last snapshot is of step 20"):
        run.close()


def test_steps_can_be_named_and_jump(tmp_path):
    with recorder(tmp_path / "zoo", snapshots=[0, 3, 10], total_steps=None).run(net()) as run:
        assert not run.step(step=2, epoch=0.5)
        assert not run.step(step=2, loss=1.0)  # of an accumulated gradient
        assert run.step(step=4, epoch=1.0, loss=3.0)
        assert not run.measured()
        assert run.step(step=11, epoch=2.0)
    rows = Zoo(tmp_path / "zoo").snapshots.to_dicts()
    assert [(row["step"], row["epoch"], row["batch_loss"]) for row in rows] == [
        (0, 0.0, None),
        (4, 1.0, 2.0),
        (11, 2.0, None),
    ]


def test_metrics_belong_to_the_weights_they_were_measured_of(tmp_path):
    with recorder(tmp_path / "zoo", snapshots=[0, 2], total_steps=None).run(net()) as run:
        run.measured(train_loss=torch.tensor(2.0), f1=0.1)
        run.step()
        assert not run.measured(train_loss=1.0)
        run.step()
    assert Zoo(tmp_path / "zoo").snapshots["train_loss"].to_list() == [2.0, None]
    assert Zoo(tmp_path / "zoo").snapshots["f1"].to_list() == [0.1, None]


def test_a_net_that_diverges(tmp_path):
    model = net()
    with recorder(tmp_path / "zoo", snapshots=[0, 1, 2], total_steps=None).run(model) as run:
        run.step()
        with torch.no_grad():
            model[0].weight[0] = torch.nan
        run.step()
    row = Zoo(tmp_path / "zoo").nets.row(0, named=True)
    assert (row["diverged"], row["diverged_step"]) == (True, 2)


def test_a_population_is_evaluated(tmp_path):
    for i in range(40):
        model = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 10))
        with torch.no_grad():
            model[0].weight.mul_(1 + i % 2)
        told = {"initialization": ("small", "large")[i % 2]}
        with Recorder(tmp_path / "zoo", {"dataset": "noise"}, total_steps=20).run(
            model, seed=i, step=20, **told
        ):
            pass
    zoo = Zoo(tmp_path / "zoo")
    assert sorted(set(zoo.nets["split"])) == ["test", "train"]
    table = weightspace.evaluate(zoo, slice_length=100, permutations=5, seeds=(0,)).frame()
    assert set(table["property"]) == {"initialization"}
    assert table.filter(classifier="kernel", unit="net")["accuracy"].max() > 0.9


def test_half_the_room_with_bfloat16(tmp_path):
    model = net()
    with recorder(tmp_path / "zoo", dtype="bfloat16").run(model, name="a", step=STEPS):
        pass
    zoo = Zoo(tmp_path / "zoo")
    assert zoo.dtype.name == "bfloat16"
    with pytest.raises(UsageError, match="dtype"):
        recorder(tmp_path / "zoo").run(model)


def refused(text: str):
    return pytest.raises(UsageError, match=text)


def test_what_cannot_be_is_refused(tmp_path):
    model = net()
    path = tmp_path / "zoo"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with refused("learning_rate: 'fast' is not a positive number"):
        Recorder(path, {"learning_rate": "fast"})
    with refused("total_steps: 20 equal parts of a run need the number of its steps"):
        Recorder(path).run(model)
    with refused("20 do not fit in a run of 3 steps"):
        Recorder(path, total_steps=3)
    with refused("snapshots: .* are no ascending whole numbers"):
        Recorder(path, snapshots=[3, 2])
    with refused("optimizer: is told as 'adam', and the objects of the run say 'sgd'; leave out"):
        Recorder(path, {"optimizer": "adam"}, total_steps=20).run(model, optimizer=optimizer)
    with refused("model: a int is no torch module and no Keras model"):
        recorder(path).run(3)
    with refused("optimizer: a int states no settings"):
        recorder(path).run(model, optimizer=3)
    with refused("run 'a/b': use 1 to 64 letters"):
        recorder(path).run(model, name="a/b")
    with refused("unit: is a column of every zoo"):
        recorder(path).run(model, unit="x")
    with refused("lab: .* is no line of text, number or switch"):
        recorder(path).run(model, lab=[1])
    with pytest.raises(DataError, match="model PReLU: no usable tensors"):
        recorder(path).run(nn.PReLU(3))
    assert not path.exists() or Zoo(path).nets.height == 0


def test_metrics_that_cannot_be_are_refused(tmp_path):
    with recorder(tmp_path / "zoo").run(net()) as run:
        with refused("test_loss: is a metric of the weights, not of a batch; give it to"):
            run.step(test_loss=1.0)
        with refused("checksum: is a column of every zoo"):
            run.measured(checksum=1.0)
        with refused("'a b': is no name of a column"):
            run.measured(**{"a b": 1.0})
    with refused("is over; use it within its `with` block"):
        run.step()


def test_a_column_keeps_its_kind(tmp_path):
    recorder(tmp_path / "zoo").run(net(), lab="north", step=20).close()
    with refused("lab: is a number, and a text in other runs"):
        recorder(tmp_path / "zoo").run(net(), lab=3)
    recorder(tmp_path / "zoo").run(net(), step=20).close()
    assert Zoo(tmp_path / "zoo").nets["lab"].to_list() == ["north", None]


def test_runs_may_differ_in_their_columns_and_snapshots(tmp_path):
    path = tmp_path / "zoo"
    recorder(path, snapshots=3).run(net(), name="a", step=20).close()
    train(path, "b", 1, lab="north")
    with recorder(path).run(net(), name="c", step=20, floor=3) as run:
        run.measured(f1=0.5)
    weightspace.write_index(path)
    assert check(path, full=True) == []
    zoo = Zoo(path)
    assert zoo.nets.sort("net").select("lab", "floor", "beta1").rows() == [
        (None, None, None),
        ("north", None, 0.9),
        (None, 3.0, None),
    ]
    assert zoo.meta["info"]["snapshots"] == SNAPSHOTS
    made = weightspace.publish(zoo, "me/runs", tmp_path / "out", licence="mit", dry_run=True)
    assert check(made.folder, full=True) == []


def test_other_folders_are_refused(tmp_path):
    synthetic_zoo(tmp_path / "sampled", nets=5)
    with refused("is a zoo of nets that were not recorded; choose another folder"):
        recorder(tmp_path / "sampled").run(net())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with refused("is not a zoo and has other files in it"):
        recorder(tmp_path / "full").run(net())
    with refused("is a URL"):
        Recorder("s3://zoo")


def test_no_library_is_loaded():
    code = (
        "import sys, weightspace; weightspace.Recorder; "
        "print(sorted({'torch', 'keras', 'lightning', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
