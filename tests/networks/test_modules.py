"""What a module of one's own is found to be: its layout, what it reads, and why it is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_model
from torch import nn

from support import own_nets
from support.modules import FILE, PLAIN, entered, plan, recipe
from weightspace.checkpoints import read_checkpoint
from weightspace.errors import UsageError
from weightspace.networks import Plan
from weightspace.networks.modules.source import OwnModule

HEAD = "import torch\nfrom torch import nn\n"
LINEAR = "nn.Linear(r.channels * r.input_size**2, r.outputs)"


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    with entered(*PLAIN, "Spectral", "Features", "Lazy"):
        yield


@pytest.mark.parametrize("function", [*PLAIN, "Features"])
def test_a_checkpoint_of_a_module_lies_in_the_same_space(tmp_path: Path, function: str) -> None:
    one = recipe(function, seed=3)
    torch.manual_seed(one.seed)
    net = getattr(own_nets, function)(one)
    path = tmp_path / "net.safetensors"
    save_model(net, str(path))  # names a tied tensor once
    found = read_checkpoint(path)
    assert found.layout.key == plan(one).layout().key
    u = torch.zeros(found.layout.size, dtype=torch.float64)
    vector = plan(one).initial(one, u)[: found.layout.size].float().numpy()
    assert np.array_equal(found.vector, vector)
    if function != "Tied":  # torch.save names a tied tensor twice
        torch.save(net.state_dict(), tmp_path / "net.pt")
        assert read_checkpoint(tmp_path / "net.pt").layout.key == found.layout.key


def test_the_vector_loads_into_the_module_again() -> None:
    one = recipe("ResNet20", seed=3)
    u = torch.zeros(plan(one).layout().size, dtype=torch.float64)
    vector = plan(one).initial(one, u).float()
    net = own_nets.ResNet20(one)
    state = {
        spec.name: vector[spec.offset : spec.stop].view(spec.shape)
        for spec in plan(one).layout().tensors
    }
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert {name.rpartition(".")[2] for name in missing} <= {"num_batches_tracked"}
    assert unexpected == []


def test_tied_tensors_are_there_once() -> None:
    names = [piece.name for piece in plan(recipe("Tied")).shape.pieces]
    assert names.count("again.weight") == 1
    assert "encode.weight" not in names


def test_what_a_layout_does_not_hold_is_trained_and_kept_beside_it() -> None:
    found = {p.name: p for p in plan(recipe("ViT")).shape.pieces[-2:]}
    assert set(found) == {"cls_token", "pos_embed"}
    assert all(piece.trained for piece in found.values())


def test_a_buffer_that_is_the_same_for_all_nets_stays_in_the_module() -> None:
    found = plan(recipe("Features")).shape
    assert [(piece.name, piece.trained) for piece in found.pieces] == [
        ("fc.weight", True), ("fc.bias", True), ("mean", False), ("features", False)
    ]  # fmt: skip


def test_a_module_says_which_hyper_parameters_it_read() -> None:
    read = dict(plan(recipe("mlp", width_fc=12)).reads)
    assert read == {"channels": 1, "input_size": 8, "width_fc": 12, "outputs": 10}


def test_a_function_that_asks_for_the_net_reads_all_of_the_recipe() -> None:
    text = HEAD + f"def build(r):\n    r.net\n    return nn.Sequential(nn.Flatten(), {LINEAR})\n"
    with entered("build", text=text, file="net.py"):
        one = recipe("build", "net.py", seed=1)
        assert plan(one) != plan(replace(one, seed=2))
        assert plan(one) == plan(replace(one))


def test_a_function_may_change_a_copy_of_its_recipe() -> None:
    text = HEAD + (
        "from dataclasses import replace\n"
        "def build(r):\n    r = replace(r, width_fc=3)\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, r.width_fc), nn.Linear(3, 10))\n"
    )
    with entered("build", text=text, file="net.py"):
        assert plan(recipe("build", "net.py")).layout().tensors[0].shape == (3, 64)


def test_branches_of_a_function_are_told_apart_by_what_each_reads() -> None:
    text = HEAD + (
        "def build(r):\n"
        "    wide = r.width_fc if r.batch_norm else 4\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, wide), nn.Linear(wide, r.outputs))\n"
    )
    with entered("build", text=text, file="net.py"):
        one = recipe("build", "net.py", batch_norm=False, width_fc=5)
        assert plan(one) == plan(replace(one, width_fc=6))
        wide = replace(one, batch_norm=True)
        assert plan(wide) != plan(replace(wide, width_fc=6))


def test_its_hash_is_that_of_the_file() -> None:
    own = OwnModule(FILE.name, "mlp", FILE.read_text(encoding="utf-8"))
    assert own.sha256 == hashlib.sha256(FILE.read_bytes()).hexdigest()


def test_only_training_runs_a_module() -> None:
    """What zoos and other readers ask for a layout says that it is a module."""
    with pytest.raises(UsageError, match=r"mlp is a module of its user's own, no chain of layers"):
        Plan.from_recipe(recipe("mlp"))
    with pytest.raises(UsageError, match=r"other.py:mlp is a module of its user's own"):
        Plan.from_recipe(recipe("mlp", "other.py"))


REFUSED = {
    "no python": ("def build(r:\n", r"net\.py:1: is not Python \("),
    "no function": ("other = 1\n", r"net\.py: has no function 'build'; name one"),
    "a missing import": (
        "import no_such_package\n",
        r"net\.py:1: it fails \(ModuleNotFoundError: No module named 'no_such_package'\); install",
    ),
    "an error of the file": ("x = 1\n1 / 0\n", r"net\.py:2: it fails \(ZeroDivisionError: "),
    "an error of the function": (
        "def build(r):\n    raise ValueError('too\\nbad')\n",
        r"net\.py:2: build fails \(ValueError: too bad\)",
    ),
    "an exit": (
        "def build(r):\n    raise SystemExit(3)\n", r"net\.py:2: build fails \(SystemExit: 3\)",
    ),
    "no module": ("def build(r):\n    return [1]\n", r"build: gives a list, no torch.nn.Module"),
    "a hyper-parameter that is none": (
        "def build(r):\n    return r.width\n",
        r"net\.py:2: build fails \(AttributeError: a recipe has no width, but width_fc,",
    ),
    "another argument than the recipe": (
        "from torch import nn\ndef build(classes):\n    return nn.Linear(64, classes)\n",
        r"build fails \(TypeError: .*\); it is called with the recipe as its only argument",
    ),
    "a forward pass that fails": (
        HEAD + "def build(r):\n    return nn.Sequential(nn.Flatten(), nn.Linear(7, r.outputs))\n",
        r"net\.py: fails on images 2x1x8x8 \(RuntimeError: mat1 and mat2",
    ),
    "too few logits": (
        HEAD + "def build(r):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))\n",
        r"build: gives \[2, 3\] for 2 images where \[2, 10\] is needed; end with a layer",
    ),
    "no logits": (
        HEAD + "class build(nn.Module):\n    def forward(self, x):\n        return None\n",
        r"build: gives a NoneType, no tensor of logits",
    ),
    "no kernel": (
        HEAD + "class build(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.scale = nn.Parameter(torch.ones(10))\n"
        "    def forward(self, x):\n        return x.flatten(1)[:, :10] * self.scale\n",
        r"build: has no kernel that is trained; give it a layer with a weight",
    ),
    "state elsewhere": (
        HEAD + "class build(nn.Module):\n    def __init__(self, r):\n        super().__init__()\n"
        f"        self.fc = {LINEAR}\n        self.calls = 0\n"
        "    def forward(self, x):\n        self.calls += 1\n"
        "        return self.fc(x.flatten(1))\n",
        r"build: keeps calls outside of its parameters and buffers, where it is not saved;",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_module_is_refused_in_a_line(case: str) -> None:
    text, told = REFUSED[case]
    with entered("build", text=text, file="net.py"), pytest.raises(UsageError, match=told) as said:
        plan(recipe("build", "net.py"))
    assert "\n" not in str(said.value)


def test_layers_that_depend_on_random_numbers_are_refused() -> None:
    text = HEAD + (
        "def build(r):\n"
        "    wide = int(torch.randint(2, 99, ()))\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, wide), nn.Linear(wide, r.outputs))\n"
    )
    with entered("build", text=text, file="net.py"):
        one = recipe("build", "net.py", seed=1)
        u = torch.zeros(plan(one).layout().size, dtype=torch.float64)
        with pytest.raises(UsageError, match="makes other layers for another seed"):
            plan(one).initial(replace(one, seed=2), u)


def test_a_dataclass_in_the_file_finds_its_types() -> None:
    text = "from __future__ import annotations\n" + HEAD + (
        "from dataclasses import dataclass\nfrom typing import ClassVar\n"
        "@dataclass\nclass Sizes:\n    depth: ClassVar[int] = 1\n    wide: int = 3\n"
        f"def build(r):\n    return nn.Sequential(nn.Flatten(), {LINEAR})\n"
    )  # fmt: skip
    with entered("build", text=text, file="net.py"):
        assert plan(recipe("build", "net.py")).layout().size == 650


def test_lazy_layers_and_functions_without_parameters() -> None:
    assert plan(recipe("Lazy")).layout().size == 64 * 12 + 12 + 12 * 10 + 10


@pytest.mark.parametrize(
    ("signature", "wide"), [("r", 8), ("recipe=None", 8), ("wide=5", 5), ("", 6)]
)
def test_a_function_gets_the_recipe_if_it_needs_an_argument(signature: str, wide: int) -> None:
    name = {"r": "r.width_fc", "recipe=None": "recipe.width_fc", "wide=5": "wide", "": "6"}
    text = HEAD + (
        f"def build({signature}):\n    wide = {name[signature]}\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, wide), nn.Linear(wide, 10))\n"
    )
    with entered("build", text=text, file="net.py"):
        assert plan(recipe("build", "net.py")).layout().tensors[0].shape == (wide, 64)


def test_the_work_of_a_step_is_counted_roughly() -> None:
    """Multiplications decide which nets are timed together; a convolution's are counted exactly."""
    lenet = plan(recipe("lenet"))
    dense = 16 * 4 * 120 + 120 * 84 + 84 * 10
    assert lenet.multiplications == 6 * 25 * 64 + 16 * 6 * 25 * 16 + dense
    assert lenet.values_per_image > 6 * 64
    assert isinstance(lenet.make()[0], nn.Module)
