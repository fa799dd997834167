"""`add`: checkpoints that others trained become a zoo; what is not known of them stays unknown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from weightspace import report
from weightspace.cli import show
from weightspace.dissection import dissect
from weightspace.dissection.facts import fractions
from weightspace.errors import DataError, UsageError
from weightspace.interop import add
from weightspace.meta import evaluate, fit
from weightspace.space import Choice, Constant, Uniform, Unknown
from weightspace.zoo import Zoo, check

WORDS = ("adam", "sgd")


def perceptron(seed: int, wide: bool) -> nn.Sequential:
    """A net that no plan describes; its weights are wider where `wide`."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(20, 40 + seed % 2), nn.ReLU(), nn.Linear(40 + seed % 2, 30))
    with torch.no_grad():
        for value in net.parameters():
            value.mul_(2.0 if wide else 1.0)
    return net


def population(folder: Path, nets: int = 60) -> Path:
    """Checkpoints and a table: the optimizer of all, the augmentation of half, a rate of each."""
    folder.mkdir()
    lines = ["file,optimizer,learning_rate,augmentation,test_accuracy,dataset"]
    for i in range(nets):
        state = perceptron(i, wide=i % 2 == 0).state_dict()
        if i % 3:
            name = f"run{i}.safetensors"
            safetensors.torch.save_file(state, folder / name)
        else:
            name = f"run{i}.pt"
            torch.save({"state_dict": state, "epoch": 3}, folder / name)
        known = ["true", "false", "", "NA"][i % 4]
        lines.append(f"{name},{WORDS[i % 2]},{0.001 * 1.1**i:.6g},{known},{0.5 + i / 1000},")
    (folder.parent / "known.csv").write_text("\n".join(lines))
    return folder.parent / "known.csv"


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    place = tmp_path_factory.mktemp("added")
    table = population(place / "in")
    shutil.copy(place / "in/run0.pt", place / "in/extra.pth")
    return add(place / "in", place / "zoo", known=table)


def test_checkpoints_become_nets_and_the_unknown_stays_unknown(added):
    assert [f for f in check(added.path, full=True) if f.severity == "error"] == []
    assert added.nets.height == 61
    row = added.nets.filter(net="run1").row(0, named=True)
    expected = {"optimizer": "sgd", "learning_rate": 0.0011, "augmentation": False}
    expected |= {"dataset": None, "activation": None, "seed": None, "steps": None, "dead": None}
    expected |= {"diverged": False, "source": "run1.safetensors", "test_accuracy": 0.501}
    assert {name: row[name] for name in expected} == expected
    aside = added.nets.filter(split="test")
    assert len(aside) == 13  # one of every five, evenly over what is known
    assert abs(int((aside["optimizer"] == "adam").sum()) - 6) <= 1
    extra = added.nets.filter(net="extra").row(0, named=True)
    assert (extra["optimizer"], extra["test_accuracy"]) == (None, None)
    np.testing.assert_array_equal(added.vector("extra"), added.vector("run0"))
    assert added.nets["layout"].n_unique() == 2
    layout = added.layout("run0")
    assert [t.name for t in layout.tensors] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    expected = perceptron(0, wide=True).state_dict()["2.weight"].reshape(-1).numpy()
    weight = layout.tensors[2]
    np.testing.assert_array_equal(added.vector("run0")[weight.offset : weight.stop], expected)


def test_the_space_says_what_varies_and_what_nobody_noted(added):
    space = added.space
    assert space.properties == ("learning_rate", "augmentation", "optimizer")
    assert space.distributions["optimizer"] == Choice(("adam", "sgd"))
    assert space.distributions["dataset"] == Unknown()
    rate = space.distributions["learning_rate"]
    assert isinstance(rate, Uniform)
    assert rate.scale == "log"
    assert Zoo(added.path).space == space
    with pytest.raises(UsageError, match="dataset: is unknown for these nets"):
        space.draw(3)


def test_what_is_known_can_be_read_off_and_dissected(added, tmp_path):
    options = {"slice_length": 1000, "seeds": (0,), "permutations": 5, "slices_per_net": 2}
    with pytest.raises(UsageError, match=r"none is on record for every net; name one .* optimizer"):
        evaluate(added, **options)
    found = evaluate(added, properties=["optimizer"], **options).frame()
    assert found["n_nets"].unique().to_list() == [60]
    assert found["accuracy"].max() > 0.9
    quick = options | {"classifiers": ["shallow"]}
    half = evaluate(added, properties=["augmentation"], **quick).frame()
    assert half["n_nets"].unique().to_list() == [30]
    result = dissect(added, properties=["optimizer"], positions=3, **quick)
    assert result.when.frame()["fraction"].to_list() == [1.0]
    page = report.write(result, tmp_path / "report")
    assert "optimizer" in page.read_text()
    model = fit(added, properties=["optimizer"], slice_length=1000, slices_per_net=2)
    answer = model.predict(perceptron_vector(), added.layout("run0"))
    assert answer.to_dict()


def perceptron_vector() -> np.ndarray:
    values = perceptron(200, wide=True).state_dict().values()
    return np.concatenate([value.reshape(-1).numpy() for value in values])


def test_a_zoo_of_the_unknown_can_be_described(added, capsys):
    show.zoo(added)
    said = capsys.readouterr().out
    assert "61" in said
    assert "unknown 53%" in said
    json.dumps(show.facts(added))


def test_all_is_known_by_default_that_every_net_has(tmp_path):
    table = population(tmp_path / "in", nets=30)
    zoo = add(tmp_path / "in", tmp_path / "zoo", known=table)
    found = evaluate(zoo, slice_length=1000, seeds=(0,), permutations=0, slices_per_net=1, folds=2)
    assert set(found.frame()["property"]) == {"optimizer", "learning_rate"}


def test_files_of_one_net_are_its_snapshots(tmp_path):
    folder = tmp_path / "in"
    (folder / "a/b").mkdir(parents=True)
    lines = ["file,net,epoch,batch_size,split"]
    for epoch in (10, 2, 0):
        torch.save(perceptron(epoch, wide=False).state_dict(), folder / f"a/b/{epoch}.pt")
        lines.append(f"a/b/{epoch}.pt,one,{epoch},{'32.0' if epoch else ''},Test")
    (tmp_path / "known.csv").write_text("\n".join(lines))
    zoo = add(folder, tmp_path / "zoo", known=tmp_path / "known.csv")
    assert zoo.snapshots["epoch"].to_list() == [0, 2, 10]
    row = zoo.nets.row(0, named=True)
    assert (row["net"], row["batch_size"], row["split"]) == ("one", 32, "test")
    assert zoo.space.distributions["batch_size"] == Constant(32)
    assert fractions(zoo, ["one"]) == {1: 0.0, 2: 0.2, 3: 1.0}  # by epochs, for want of steps


def test_without_a_table_nothing_is_known(tmp_path):
    (tmp_path / "in/deep").mkdir(parents=True)
    torch.save(perceptron(1, wide=False).state_dict(), tmp_path / "in/deep/a_b.pt")
    zoo = add(tmp_path / "in", tmp_path / "zoo")
    assert zoo.nets["source"].to_list() == ["deep/a_b.pt"]
    assert zoo.nets["net"][0].startswith("deep-a-b-")
    assert zoo.space.properties == ()
    with pytest.raises(UsageError, match="properties: none to predict"):
        evaluate(zoo)


# ---- what is wrong is named


@pytest.fixture
def two(tmp_path):
    (tmp_path / "in").mkdir()
    for i in (0, 2):
        torch.save(perceptron(i, wide=False).state_dict(), tmp_path / f"in/n{i}.pt")
    return tmp_path


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("optimizer\nadam", r"known.csv: has no column 'file'; add it"),
        ("file,speed\nn0.pt,3", r"known.csv: column 'speed' is unknown; remove it, known are file"),
        ("file,file\nn0.pt,n0.pt", r"known.csv: column 'file' is given twice; remove one"),
        ("file\nn0.pt\nn0.pt", r"known.csv:3: file n0.pt: is already in .*known.csv:2; remove"),
        ("file\nn1.pt", r"known.csv:2: file n1.pt: is not in .*in; correct or remove the row"),
        ("file\n../in/n0.pt", r"known.csv:2: file: '../in/n0.pt' leads out of the folder; make"),
        ("file\n/etc/passwd", r"known.csv:2: file: '/etc/passwd' leads out of the folder"),
        ("file,batch_size\nn0.pt,many", r"known.csv:2: batch_size: 'many' is not a whole number"),
        ("file,batch_size\nn0.pt,3.5", r"known.csv:2: batch_size: '3.5' is not a whole number fr"),
        ("file,dropout\nn0.pt,1", r"known.csv:2: dropout: 1.0 is not a number from 0 up to"),
        ("file,augmentation\nn0.pt,x", r"known.csv:2: augmentation: 'x' is not true or false"),
        ("file,split\nn0.pt,all", r"known.csv:2: split: 'all' is neither train nor test"),
        ("file,step\nn0.pt,-1", r"known.csv:2: step: '-1' is not a whole number from 0"),
        (
            "file,test_accuracy\nn0.pt,good",
            r"known.csv:2: test_accuracy: 'good' is not a number from",
        ),
        (
            "file,net\nn0.pt,a/b",
            r"net 'a/b' \(n0.pt\): is not a valid name of a net; use 1 to 64 letters",
        ),
        ("file,net\nn0.pt,x\nn2.pt,x", r"known.csv:2: net x: has 2 files and nothing says in wh"),
        (
            "file,net,snapshot\nn0.pt,x,1\nn2.pt,x,1",
            r"known.csv:3: net x: has two snapshots 1; number them differently",
        ),
        (
            "file,net,snapshot\nn0.pt,x,1\nn2.pt,x,",
            r"known.csv:3: file n2.pt: has no snapshot, other snapshots of net x have; fill it in",
        ),
        (
            "file,net,step,optimizer\nn0.pt,x,1,adam\nn2.pt,x,2,sgd",
            r"known.csv:3: net x: optimizer is sgd here and adam elsewhere; correct one of them",
        ),
        ("file,net\nn0.pt,n2", r"net n2: "),
        ('file,net\n"n0.pt', r"known.csv: is not a CSV file in UTF-8 \(unexpected end of data"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(two, table, message):
    (two / "known.csv").write_text(table)
    with pytest.raises((DataError, UsageError), match=message) as caught:
        add(two / "in", two / "zoo", known=two / "known.csv")
    assert "\n" not in str(caught.value)
    assert not (two / "zoo").exists()


def test_a_missing_table_or_folder_is_said(two):
    with pytest.raises(DataError, match=r"none.csv: no such file"):
        add(two / "in", two / "zoo", known=two / "none.csv")
    with pytest.raises(
        DataError, match=r"none: is not a folder; give the one that contains the checkp"
    ):
        add(two / "none", two / "zoo")
    (two / "bare").mkdir()
    with pytest.raises(
        DataError, match=r"bare: contains no nets in files .safetensors, .pt, .*; name another"
    ):
        add(two / "bare", two / "zoo")


def test_a_file_that_is_no_checkpoint_is_named_or_left_out(two):
    (two / "in/n1.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(
        DataError, match=r"in/n1.pt: net n1: in no form of checkpoints that is known"
    ):
        add(two / "in", two / "zoo")
    told = []
    zoo = add(two / "in", two / "rest", left_out=lambda *said: told.append(said))
    assert zoo.nets["net"].to_list() == ["n0", "n2"]
    assert [net for net, _ in told] == ["n1"]


ROWS = {
    "no such file": "none.pt,x,,,",
    "out of the folder": "../aside.pt,x,,,",
    "a value that is none": "n2.pt,,,many,",
    "a name that is none": "n2.pt,a/b,,,",
    "no order": "n2.pt,x,,,\nn3.pt,x,,,",
    "two epochs alike": "n2.pt,x,1,,\nn3.pt,x,1,,",
    "two optimizers": "n2.pt,x,1,,sgd\nn3.pt,x,2,,adam",
    "one bad row of a net": "n2.pt,x,1,,\nn3.pt,x,2,many,",
    "the same file again": "n2.pt,x,1,,\nn2.pt,x,2,,",
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_a_net_that_is_wrongly_described_is_left_out(two, rows):
    torch.save(perceptron(2, wide=False).state_dict(), two / "in/n3.pt")
    (two / "known.csv").write_text(f"file,net,snapshot,batch_size,optimizer\nn0.pt,,,32,\n{rows}")
    told = []
    options = {"known": two / "known.csv", "left_out": lambda *said: told.append(said)}
    zoo = add(two / "in", two / "rest", **options)
    assert len(told) == 1
    assert set(zoo.nets["net"]) == {"n0"} | {f"n{i}" for i in (2, 3) if f"n{i}.pt" not in rows}
    assert zoo.nets.filter(net="n0")["batch_size"].to_list() == [32]
    with pytest.raises(DataError):
        add(two / "in", two / "zoo", known=two / "known.csv")


def test_where_no_net_can_be_read_nothing_is_made_of_it_in_silence(two):
    for i in (0, 2):
        (two / f"in/n{i}.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=r"n0.pt: .*; none of 2 nets can be read"):
        add(two / "in", two / "zoo", left_out=lambda *said: None)


def test_names_of_tensors_cannot_steer_a_terminal(tmp_path):
    (tmp_path / "in").mkdir()
    torch.save({"a\x1b[2J.weight": torch.ones(3, 4)}, tmp_path / "in/n.pt")
    zoo = add(tmp_path / "in", tmp_path / "zoo")
    assert zoo.layout("n").tensors[0].name.isprintable()
