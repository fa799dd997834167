"""Trial folders of Ray Tune, as Model Zoos have them, become a zoo; what is unsafe is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from support.foreign_modelzoos import CONFIG, Cnn, net, write
from weightspace.errors import DataError
from weightspace.interop import export_zoo, import_zoo
from weightspace.networks.sequential import sequential
from weightspace.space import Choice, Constant, Recipe
from weightspace.zoo import check


@pytest.fixture
def folder(tmp_path):
    """Three trials, under names as Ray Tune gives them, beside files that are no trial."""
    for i, changed in enumerate(
        (
            {},
            {"model::nlin": "gelu", "optim::optimizer": "sgd", "seed": 8},
            {"model::nlin": "relu", "optim::optimizer": "rms_prop", "seed": 9},
        )
    ):
        name = f"NN_tune_trainable_{i:05d}_{i}_model::nlin={CONFIG['model::nlin']},seed={7 + i}"
        write(tmp_path / "in/tune_zoo" / name, CONFIG | changed, range(3 - (i == 2)), wide=i != 1)
    (tmp_path / "in/tune_zoo/config.json").write_text("{}")
    return tmp_path / "in"


@pytest.fixture
def zoo(folder, tmp_path):
    return import_zoo(folder, tmp_path / "zoo", "modelzoos")


def test_trials_become_nets_and_checkpoints_snapshots(zoo):
    assert [f for f in check(zoo.path, full=True) if f.severity == "error"] == []
    assert zoo.nets["source"].str.starts_with("tune_zoo/NN_tune_trainable_0000").all()
    assert zoo.snapshots["snapshot"].to_list() == [1, 2, 3, 1, 2, 3, 1, 2]
    first = zoo.snapshots.head(3)
    assert first["epoch"].to_list() == [0, 1, 2]
    assert first["train_accuracy"].to_list() == [None, pytest.approx(0.3), pytest.approx(0.5)]
    assert first["test_accuracy"].to_list() == pytest.approx([0.1, 0.2, 0.3])
    assert first["test_loss"].to_list()[0] == pytest.approx(2.2)


def test_settings_become_hyper_parameters_in_the_zoos_words(zoo):
    first, second, third = zoo.nets.iter_rows(named=True)
    expected = {"dataset": "fashion_mnist", "learning_rate": 0.001, "weight_decay": 0.0001}
    expected |= {"activation": "tanh", "optimizer": "adam", "initialization": "he_uniform"}
    expected |= {"batch_size": 10, "epochs": 50, "seed": 7, "architecture": "model_zoos"}
    expected |= {"augmentation": None, "steps": None, "batch_norm": False, "outputs": 10}
    assert {name: first[name] for name in expected} == expected
    assert (second["optimizer"], third["optimizer"]) == ("momentum", "rmsprop")
    assert zoo.space.distributions["optimizer"] == Choice(("adam", "momentum", "rmsprop"))
    assert zoo.space.distributions["dataset"] == Constant("fashion_mnist")


def test_vectors_are_the_checkpoints_and_compute_the_same(folder, zoo, tmp_path):
    found = export_zoo(zoo, tmp_path / "out", "safetensors")
    names = zoo.nets["net"].to_list()
    x = torch.rand(6, 1, 28, 28)
    for name, config in ((names[0], CONFIG), (names[2], CONFIG | {"model::nlin": "relu"})):
        row = zoo.nets.filter(net=name).row(0, named=True)
        recipe = {k: row[k] for k in Recipe(dataset="any").to_dict() if row[k] is not None}
        module = sequential(Recipe.from_dict(recipe))
        module.load_state_dict(load_file(found.path / name / "002.safetensors"), strict=True)
        own = net(config | {"seed": row["seed"]}, 1)
        torch.testing.assert_close(module.eval()(x), own(x))
    # GELU bends: the activation cannot be swapped with the pooling, so no plan computes this net.
    assert found.without_plan == (names[1],)
    module = Cnn("gelu", 0)
    module.load_state_dict(load_file(found.path / names[1] / "003.safetensors"), strict=True)
    torch.testing.assert_close(module(x), net(CONFIG | {"model::nlin": "gelu", "seed": 8}, 2)(x))


def test_names_of_trials_become_names_of_nets_whatever_is_in_them(folder, zoo):
    assert len(set(zoo.nets["net"])) == 3
    assert all(len(name) <= 64 for name in zoo.nets["net"])
    assert zoo.nets["net"][0].endswith("model-nlin-tanh-seed-7")


def test_another_model_keeps_its_own_tensors(tmp_path):
    write(tmp_path / "in/a", CONFIG | {"model::type": "Resnet18", "seed": 1})
    zoo = import_zoo(tmp_path / "in", tmp_path / "zoo", "modelzoos")
    assert zoo.nets["architecture"].to_list() == ["model_zoos_resnet18"]
    assert zoo.nets["width_conv"].to_list() == [None]
    assert zoo.layout("a").tensors[0].name == "module_list.0.weight"


def test_a_net_that_blew_up_is_marked(folder, tmp_path):
    file = sorted(folder.rglob("checkpoint_000001/checkpoints"))[0]
    values = torch.load(file, weights_only=True)
    values["module_list.0.bias"][0] = torch.inf
    torch.save(values, file)
    zoo = import_zoo(folder, tmp_path / "zoo", "modelzoos")
    assert zoo.nets["diverged"].to_list() == [True, False, False]
    assert np.isinf(zoo.vector(zoo.nets["net"][0], 2)).sum() == 1


# ---- what is wrong or unsafe is named


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').write('executed')",)


def first(folder: Path, name: str) -> Path:
    return sorted(folder.rglob(name))[0]


def test_code_is_told_by_name_and_not_executed(folder, tmp_path):
    file = first(folder, "checkpoint_000001/checkpoints")
    file.write_bytes(pickle.dumps(Evil(tmp_path / "executed")))
    with pytest.raises(DataError) as caught:
        import_zoo(folder, tmp_path / "zoo", "modelzoos")
    assert str(file) in str(caught.value)
    assert "holds a builtins.exec, not a state dict" in str(caught.value)
    assert not (tmp_path / "executed").exists()
    told = []
    zoo = import_zoo(folder, tmp_path / "rest", "modelzoos", left_out=lambda *a: told.append(a))
    assert zoo.nets.height == 2
    assert len(told) == 1
    assert not (tmp_path / "executed").exists()


def edited(**changed):
    def spoil(folder: Path) -> None:
        file = first(folder, "params.json")
        config = json.loads(file.read_text())
        file.write_text(json.dumps(config | {k.replace("__", "::"): v for k, v in changed.items()}))

    return spoil


def overwritten(name: str, content: str):
    return lambda folder: first(folder, name).write_text(content)


def doubled(folder: Path) -> None:
    place = first(folder, "checkpoint_000001").parent / "checkpoint_1"
    place.mkdir()
    (place / "checkpoints").write_text("")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (overwritten("params.json", "{"), r"params.json: is not JSON \(.*; fetch the trial again"),
        (overwritten("params.json", "[1]"), r"params.json: is not a JSON object; fetch the trial"),
        (overwritten("params.json", "[" * 10**5), r"params.json: is not JSON"),
        (overwritten("result.json", "{}\nno"), r"result.json:2: is not JSON"),
        (edited(optim__lr=-1), r"params.json: optim::lr: learning_rate: -1 is not a positive num"),
        (edited(training__batchsize="ten"), r"params.json: training::batchsize: batch_size: 'ten'"),
        (
            edited(optim__optimizer="a\x1b[2J"),
            r"params.json: optim::optimizer: .* is not a word of l",
        ),
        (
            overwritten("checkpoints", ""),
            r"checkpoints: net .*tanh-seed-7: empty; copy or download the file again",
        ),
        (lambda f: first(f, "checkpoints").unlink(), r"checkpoint_000000: net .*: has no file 'ch"),
        (doubled, r"is number 1 as is checkpoint_"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(folder, tmp_path, spoil, message):
    spoil(folder)
    with pytest.raises(DataError, match=message) as caught:
        import_zoo(folder, tmp_path / "zoo", "modelzoos")
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_checkpoints_of_different_nets_in_one_trial_are_refused(folder, tmp_path):
    file = first(folder, "checkpoint_000002/checkpoints")
    torch.save(nn.Sequential(nn.Linear(3, 4)).state_dict(), file)
    with pytest.raises(DataError, match=r"net .*: snapshot 3 has other tensors than the first, 16"):
        import_zoo(folder, tmp_path / "zoo", "modelzoos")


def test_a_trial_without_checkpoints_is_refused(folder, tmp_path):
    trial = first(folder, "params.json").parent
    for place in trial.glob("checkpoint_*"):
        place.rename(place.with_name(place.name.replace("checkpoint", "kept")))
    with pytest.raises(DataError, match=r"has no folder checkpoint_\*; move it away"):
        import_zoo(folder, tmp_path / "zoo", "modelzoos")
