"""Modules of one's own in zoos: sampled, gone on with, reproduced, and run only for their user."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from support.commands import printed, refused
from support.tiny_runs import same
from weightspace.checkpoints import read_checkpoint
from weightspace.errors import UsageError
from weightspace.interop import export_zoo
from weightspace.networks.architectures import ARCHITECTURES
from weightspace.networks.modules.source import OwnModule
from weightspace.sampling import estimate, reproduce, sample
from weightspace.sampling.calibration import Pace
from weightspace.sampling.engines import local
from weightspace.space import Space, load_space
from weightspace.training import StackTrainer
from weightspace.zoo import Zoo, check, merge

NET = """
import os
from torch import nn

os.environ["WEIGHTSPACE_TEST_RUN"] = "yes"


def build(recipe):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(recipe.channels * recipe.input_size**2, recipe.width_fc),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(recipe.width_fc, recipe.outputs),
    )


class Deeper(nn.Module):
    def __init__(self, recipe):
        super().__init__()
        self.net = build(recipe)

    def forward(self, x):
        return self.net(x * 2 - 1)
"""
SPACE = """
name: own
recipe:
  architecture: {architecture}
  dataset: digits
  optimizer: [adam, sgd]
  width_fc: [8, 16]
  learning_rate: 0.01
  batch_size: 16
  input_size: 8
  channels: 1
  outputs: 10
  train_images: 120
  epochs: 3
"""


@pytest.fixture(scope="module", autouse=True)
def paces() -> object:
    """Stacks of two nets by one call, as if that had been measured."""
    found = {f"2^{k}": Pace(2, 0.001, True) for k in range(6, 40)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "calibrate", lambda recipes, device: found)
        yield


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a file was run in this process; files that were run before run again."""
    from weightspace.networks.modules import plan, running

    running._run.cache_clear()
    monkeypatch.setattr(plan, "_KNOWN", {})
    monkeypatch.delenv("WEIGHTSPACE_TEST_RUN", raising=False)


def was_run() -> bool:
    return "WEIGHTSPACE_TEST_RUN" in os.environ


def folder(at: Path, architecture: str = "net.py:build", net: str = NET) -> Path:
    """A space and a module beside it."""
    at.mkdir(exist_ok=True)
    (at / "net.py").write_text(net, encoding="utf-8")
    (at / "own.yaml").write_text(SPACE.format(architecture=architecture), encoding="utf-8")
    return at


def run(space: Path | Space, out: Path, **options: object) -> Zoo:
    space = space if isinstance(space, Space) else str(space)
    return sample(space, out=out, **({"nets": 8, "snapshots": 3, "workers": 1} | options))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space, its module, and a zoo of it."""
    at = folder(tmp_path_factory.mktemp("made") / "own")
    run(at / "own.yaml", at / "zoo")
    return at


def test_a_space_that_names_a_file_makes_a_zoo_with_its_name_and_its_hash(made: Path) -> None:
    zoo = Zoo(made / "zoo")
    own = OwnModule("net.py", "build", NET)
    assert zoo.meta["info"]["modules"] == {"net.py": own.sha256}
    assert set(zoo.nets["architecture"]) == {"net.py:build"}
    assert set(zoo.nets["initialization"]) == {"module"}
    assert zoo.space.properties == ("optimizer", "width_fc")
    assert {spec.name for spec in zoo.layout(zoo.nets["net"][0]).tensors} == {
        "1.weight", "1.bias", "4.weight", "4.bias",
    }  # fmt: skip
    assert zoo.nets["test_accuracy"].max() > 0.3
    assert "def build" not in "".join(
        file.read_text(encoding="utf-8", errors="replace")
        for file in (made / "zoo").rglob("*")
        if file.is_file()
    )


def test_an_exported_net_is_read_as_the_vector_of_the_zoo(made: Path, tmp_path: Path) -> None:
    zoo = Zoo(made / "zoo")
    export_zoo(zoo, tmp_path / "out", format="safetensors")
    for net in zoo.nets["net"]:
        files = sorted((tmp_path / "out" / net).glob("*.safetensors"))
        for number, file in enumerate(files, 1):
            found = read_checkpoint(file)
            assert found.layout.key == zoo.layout(net).key
            assert np.array_equal(found.vector, zoo.vector(net, number))
        assert number == 3


def test_what_reads_a_zoo_never_runs_a_file(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Even with the file beside the zoo, and in the working folder."""
    zoo = made / "zoo"
    for command in (["info", zoo], ["check", zoo, "--full"], ["repair", zoo], ["index", zoo]):
        printed(capsys, *command)
    net = Zoo(zoo).nets["net"][0]
    told = refused(capsys, "reproduce", zoo, net)
    assert "its nets are modules of net.py, which no zoo holds; give the file again with" in told
    assert "`--module net.py`" in told
    space = Zoo(zoo).space
    with pytest.raises(UsageError, match="whose file no zoo and no Space holds; give it with `mod"):
        sample(space, nets=8, out=zoo, snapshots=3, workers=1)
    told = refused(capsys, "sample", "demo", "--nets", 8, "--out", zoo, "--snapshots", 3)
    assert "its nets are modules of net.py, which no zoo holds" in told
    assert not was_run()


def test_the_table_holds_a_module_only_while_it_trains(made: Path) -> None:
    assert not [name for name in ARCHITECTURES if ".py:" in name]


def test_a_net_is_reproduced_with_its_file_alone(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zoo = Zoo(made / "zoo")
    shutil.copy(made / "net.py", tmp_path / "net.py")
    for net in zoo.nets["net"][:3]:
        found = reproduce(zoo, net, module=str(tmp_path / "net.py"))
        assert all(one.relative < 1e-4 for one in found.differences)
    with pytest.raises(UsageError, match=r'the net is a net\.py:build; give `module="net\.py"`'):
        reproduce(zoo, zoo.nets["net"][0], module=str(tmp_path / "net.py:Other"))
    typed = ("--module", made / "net.py")
    assert "net" in printed(capsys, "sample", "--out", zoo.path, "--only", net, *typed)


def test_another_file_is_refused_and_not_run(made: Path, tmp_path: Path) -> None:
    zoo = Zoo(made / "zoo")
    other = folder(tmp_path, net=NET.replace("0.2", "0.3")) / "net.py"
    told = r"was sampled with another net\.py \(SHA-256 [0-9a-f]{12}\.\.\. there, [0-9a-f]{12}"
    with pytest.raises(UsageError, match=told):
        reproduce(zoo, zoo.nets["net"][0], module=str(other))
    with pytest.raises(UsageError, match=told):
        run(tmp_path / "own.yaml", made / "zoo", nets=12)
    assert not was_run()


def test_a_zoo_is_continued_with_its_file(made: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    shutil.copytree(made / "zoo", begun)
    more = run(made / "own.yaml", begun, nets=12, workers=2)
    assert [found for found in check(begun, full=True) if found.thing != "index"] == []
    assert set(more.nets["net"]) == {recipe.net for recipe in more.space.draw(12, 0)}


class Stopped(Exception):
    """What ends a run within a unit."""


def test_a_stack_that_was_stopped_goes_on_bit_for_bit(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHTSPACE_SAVE_SECONDS", "0")
    step, steps = StackTrainer.train_step, []

    def stop(trainer: StackTrainer) -> None:
        steps.append(trainer.step)
        if len(steps) == 10:
            raise Stopped
        step(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(StackTrainer, "train_step", stop)
        with pytest.raises(Stopped):
            run(made / "own.yaml", tmp_path / "zoo")
    assert same(run(made / "own.yaml", tmp_path / "zoo"), Zoo(made / "zoo"))


def test_shards_with_one_file_are_merged_and_with_two_are_not(tmp_path: Path) -> None:
    at = folder(tmp_path / "own")
    for i in (1, 2):
        run(at / "own.yaml", tmp_path / f"shard-{i}", shard=(i, 2))
    merged = merge(tmp_path / "all", [tmp_path / "shard-1", tmp_path / "shard-2"])
    assert merged.nets.height == 8
    folder(at, net=NET.replace("0.2", "0.3"))
    run(at / "own.yaml", tmp_path / "other", shard=(2, 2))
    with pytest.raises(UsageError, match="modules"):
        merge(tmp_path / "none", [tmp_path / "shard-1", tmp_path / "other"])


def test_functions_of_one_file_can_be_a_property(tmp_path: Path) -> None:
    at = folder(tmp_path / "own", architecture="[net.py:build, net.py:Deeper]")
    zoo = run(load_space(at / "own.yaml"), tmp_path / "zoo")
    assert zoo.space.properties == ("optimizer", "width_fc", "architecture")
    assert set(zoo.nets["architecture"]) == {"net.py:build", "net.py:Deeper"}
    assert zoo.nets["layout"].n_unique() == 4


def test_an_option_names_the_architecture_of_any_space(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    at = folder(tmp_path / "own")
    named = f"{at}/net.py:build"
    needs = estimate("demo", nets=6, out=tmp_path / "zoo", module=named)
    assert needs.nets == 6
    zoo = sample(
        "demo", nets=6, out=tmp_path / "zoo", module=named, epochs=1, snapshots=2, workers=1
    )
    assert set(zoo.nets["architecture"]) == {"net.py:build"}
    assert set(zoo.nets["initialization"]) > {"constant"}  # the space varies it
    assert "activation varies, but no module reads it: it has no effect on the nets" in caplog.text
    assert "width_fc" not in caplog.text


def test_a_zoo_has_no_folder_of_a_file(tmp_path: Path) -> None:
    at = folder(tmp_path / "own", architecture="deep/net.py:build")
    (at / "deep").mkdir()
    shutil.move(at / "net.py", at / "deep" / "net.py")
    zoo = run(at / "own.yaml", tmp_path / "zoo", nets=2)
    assert set(zoo.nets["architecture"]) == {"net.py:build"}
    assert zoo.space.values("architecture") == ("net.py:build",)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("net.txt:build", r"module: 'net\.txt:build' names no Python file; write it as net\.py"),
        ("nowhere.py:build", r"nowhere\.py: cannot be read \(No such file or directory\)"),
        ("net.py", r"module: no architecture of the space is of net\.py; write it as net\.py:FUNC"),
        ("net.py:nothing", r"net\.py: has no function 'nothing'; name one that it defines"),
        (["net.py:build", "deep/net.py:build"], r"architecture: net\.py and deep/net\.py have one"),
    ],
)
def test_what_is_no_file_of_a_module_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str | list[str], told: str
) -> None:
    monkeypatch.chdir(folder(tmp_path))
    with pytest.raises(Exception, match=told) as said:
        sample("demo", nets=2, out="zoo", module=module)
    assert "\n" not in str(said.value)
    assert not Path("zoo").exists()


def test_a_file_that_a_space_names_and_is_not_there_is_told_with_its_line(tmp_path: Path) -> None:
    at = folder(tmp_path, architecture="other.py:build")
    with pytest.raises(Exception, match=r"other\.py: cannot be read"):
        run(at / "own.yaml", tmp_path / "zoo")


def test_its_own_initial_weights_are_for_modules_alone(tmp_path: Path) -> None:
    text = SPACE.format(architecture="nws").replace(
        "width_fc", "initialization: module\n  width_fc"
    )
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(
        UsageError, match=r"own\.yaml:\d+: initialization: 'module' are the initial"
    ):
        run(tmp_path / "own.yaml", tmp_path / "zoo")


def test_the_help_says_that_the_file_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    text = re.sub(r"\s+", " ", printed(capsys, "sample", "--help"))
    assert "--module FILE.py:FUNCTION A function of a recipe that gives a torch module, as" in text
    assert "--module FILE.py" in printed(capsys, "reproduce", "--help")
