"""Objects beside the weights, whole modules and plain pickles: read as records, never run."""

from __future__ import annotations

import argparse
import collections
import copy
import datetime
import decimal
import enum
import io
import pathlib
import pickle
import sys
import types
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.checkpoints.pickling.threats import threat


class Phase(enum.Enum):
    TRAIN = "train"


@dataclass
class Settings:
    lr: float = 0.1
    inner: dict = field(default_factory=lambda: {"depth": 2})


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a, self.b = 1, "two"


class Net(nn.Module):
    """A net that a file holds whole, with everything that modules may have."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.classifier = nn.Linear(16, 3)
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("passing", torch.ones(5), persistent=False)
        self.settings = Settings()
        self.nothing = None

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def net() -> Net:
    torch.manual_seed(0)
    return Net()


def reads_as(path, state: dict[str, torch.Tensor]) -> None:
    """The file has the values of a state dict, tensor by tensor."""
    checkpoint = read_checkpoint(path)
    for spec in checkpoint.layout.tensors:
        wanted = state[spec.name].detach().to(torch.float32).numpy().reshape(-1)
        np.testing.assert_array_equal(checkpoint.vector[spec.offset : spec.stop], wanted)
    kernels = {name for name, value in state.items() if value.dim() > 1}
    assert kernels <= {spec.name for spec in checkpoint.layout.tensors}


HARMLESS = {
    "namespace": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("/runs/1"), layers=[1, 2]),
    "simple": types.SimpleNamespace(a=1),
    "scalar": np.float64(0.25),
    "half": np.float16(0.5),
    "whole": np.int64(7),
    "flag": np.bool_(True),
    "array": np.arange(6, dtype=">i4").reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "texts": np.array(["a", "b"]),
    "objects": np.array([{"a": 1}], dtype=object),
    "date": datetime.datetime(2026, 1, 2),
    "decimal": decimal.Decimal("0.1"),
    "phase": Phase.TRAIN,
    "by phase": {Phase.TRAIN: 1},
    "settings": Settings(),
    "slotted": Slotted(),
    "default": collections.defaultdict(list, {"a": [1]}),
    "deque": collections.deque([1, 2], maxlen=3),
    "named": collections.namedtuple("Point", "x y")(1, 2),
    "counter": collections.Counter("aab"),
    "slice": slice(1, 2),
    "range": range(3),
    "complex": 1 + 2j,
    "class": Settings,
    "function": copy.deepcopy,
    "rng": np.random.RandomState(0),
    "generator": np.random.default_rng(0),
    "error": ValueError("x"),
}
HARMLESS["named"].__class__.__module__ = __name__
sys.modules[__name__].Point = type(HARMLESS["named"])  # so that it can be pickled


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_one_harmless_object_beside_the_weights(tmp_path, protocol, zipped):
    state = net().state_dict()
    for name, value in HARMLESS.items():
        path = tmp_path / "net.pt"
        content = {"state_dict": state, "extra": value}
        torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
        reads_as(path, state)
        # Early releases of Python 3.11 write a member of an enumeration as a call of getattr,
        # which can find anything; docs/checkpoints.md says so.
        known = ["hostile"] if b"getattr" in pickle.dumps(value, protocol) else []
        assert [f.kind for f in inspect(path).findings if f.kind == "hostile"] == known, name


def test_settings_become_plain_values(tmp_path):
    path = tmp_path / "net.pt"
    content = {"model": net().state_dict(), "args": HARMLESS["namespace"], "cfg": Settings()}
    torch.save(content, path)
    facts = {fact.name: fact.value for fact in inspect(path).facts if fact.kind == "settings"}
    assert facts == {
        "args": {"lr": 0.1, "out": "/runs/1", "layers": [1, 2]},
        "cfg": {"lr": 0.1, "inner": {"depth": 2}},
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("where", [None, "model", "net"])
def test_a_whole_module_is_its_state_dict(tmp_path, zipped, where):
    path, whole = tmp_path / "net.pt", net()
    content = whole if where is None else {where: whole, "epoch": 3}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    reads_as(path, whole.state_dict())
    found = inspect(path)
    assert found.modules["features.0"] == "torch.nn.modules.conv.Conv2d"
    assert found.modules[""] == f"{__name__}.Net"
    assert f"names code: `{__name__}.Net`" in [finding.text for finding in found.findings]
    names = {note.name for note in (*found.used, *found.left_out)}
    assert "kept" in names
    assert "passing" not in names


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [torch.jit.script, None])
def test_a_scripted_module_is_its_state_dict(tmp_path, make):
    whole = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    whole.eval()
    scripted = make(whole) if make else torch.jit.trace(whole, torch.ones(1, 1, 4, 4))
    scripted.save(tmp_path / "net.pt")
    reads_as(tmp_path / "net.pt", whole.state_dict())
    assert read_checkpoint(tmp_path / "net.pt").form == "TorchScript"


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("arrays", [True, False])
def test_a_plain_pickle_of_tensors_or_arrays(tmp_path, protocol, arrays):
    path, state = tmp_path / "net.pkl", net().state_dict()
    plain = {name: value.numpy() if arrays else value for name, value in state.items()}
    path.write_bytes(pickle.dumps({"epoch": 3, "params": plain}, protocol=protocol))
    reads_as(path, state)


def test_a_flax_tree_is_one_net(tmp_path):
    rng = np.random.default_rng(0)
    tree = {
        "params": {
            "Dense_0": {"kernel": rng.normal(size=(3, 4)).astype("f4"), "bias": np.zeros(4, "f4")},
            "Dense_1": {"kernel": rng.normal(size=(4, 2)).astype("f4"), "bias": np.zeros(2, "f4")},
        },
        "step": 5,
    }
    path = tmp_path / "state.pkl"
    path.write_bytes(pickle.dumps(tree))
    names = [spec.name for spec in read_checkpoint(path).layout.tensors]
    assert names == ["Dense_0.kernel", "Dense_0.bias", "Dense_1.kernel", "Dense_1.bias"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("posix.system", "hostile"),
        ("builtins.eval", "hostile"),
        ("subprocess.Popen", "hostile"),
        ("runpy._run_code", "hostile"),
        ("operator.attrgetter", "hostile"),
        ("torch.hub.load", "hostile"),
        ("numpy.testing._private.utils.runstring", "hostile"),
        ("__main__.Net", "code"),
        ("osprey.Net", "code"),
        ("models.resnet.ResNet", "code"),
        ("argparse.Namespace", ""),
        ("pathlib.PosixPath", ""),
        ("numpy.dtype", ""),
        ("torch.nn.modules.conv.Conv2d", ""),
    ],
)
def test_names_are_told_by_what_they_would_do(name, kind):
    assert threat(name) == kind


class Runs:
    """Unpickling it runs a function with an argument."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_that_a_file_names_is_called_or_imported(tmp_path, protocol):
    proof, path = tmp_path / "executed", tmp_path / "net.pkl"
    state = {name: value.numpy() for name, value in net().state_dict().items()}
    for bomb in (
        Runs(eval, f"open({str(proof)!r}, 'w')"),
        Runs(exec, f"open({str(proof)!r}, 'w')"),
        Runs(__import__, "antigravity"),
        Runs(pathlib.Path(proof).touch.__func__, proof),
        Runs(getattr, pathlib.Path, "touch"),
        Runs(io.open, str(proof), "w"),
    ):
        path.write_bytes(pickle.dumps({"net": state, "extra": bomb}, protocol=protocol))
        reads_as(path, net().state_dict())
        assert not proof.exists()
        assert "antigravity" not in sys.modules
        kinds = {finding.kind for finding in inspect(path).findings}
        # `open` is `io.open` in a pickle; `Path.touch` is found as an attribute of a class.
        assert "hostile" in kinds
