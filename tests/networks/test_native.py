"""The native step against its twin in torch, and both against finite differences."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from support.plans import Block, Plain
from weightspace.errors import UsageError
from weightspace.networks import Plan
from weightspace.networks.activations import ACTIVATIONS
from weightspace.networks.arithmetic import arithmetic
from weightspace.networks.batch import Images, Step
from weightspace.networks.grammar import (
    Activation,
    AdaptivePool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Norm,
    Pool,
    Residual,
    Shape,
)
from weightspace.networks.layout import TRAINABLE
from weightspace.networks.native import ACTIVATIONS as KNOWN
from weightspace.networks.native import NativeStack, builds, load
from weightspace.networks.stack import StackShape, TorchStack

needs_build = pytest.mark.skipif(not builds(), reason="the native step was not built")


@dataclass
class Case:
    """A stack of nets with values, images and all else that a step takes."""

    plan: Plan
    activations: list[str]
    batch: int
    seed: int = 0
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        g = torch.Generator().manual_seed(self.seed)
        nets, plan = len(self.activations), self.plan
        self.shape = StackShape.of(plan)
        vectors = torch.randn(nets, self.shape.layout.size, generator=g, dtype=torch.float64) * 0.3
        for t in self.shape.layout.tensors:
            if t.role == "running_var":
                vectors[:, t.offset : t.stop] = vectors[:, t.offset : t.stop].abs() + 0.5
        self.weights, self.stats = self.shape.split(vectors.to(self.dtype))
        size = plan.input
        pool = torch.randint(0, 256, (40, *size), dtype=torch.uint8, generator=g)
        index = torch.randint(0, 40, (nets, self.batch), generator=g)
        made = torch.rand(1, self.batch, *size, generator=g, dtype=torch.float64).to(self.dtype)
        self.images = Images(pool, index, torch.tensor([nets - 1]), made)  # the last net's
        self.labels = torch.randint(0, plan.outputs, (nets, self.batch), generator=g)
        self.masks = [
            ((torch.rand(nets, self.batch, w, generator=g) > 0.3) / 0.7).to(self.dtype)
            for w, _ in plan.dropouts
        ]
        self.smoothing = torch.linspace(0, 0.2, nets, dtype=self.dtype).unsqueeze(1)

    def torch(self) -> TorchStack:
        return TorchStack(self.shape, self.dtype)

    def native(self, build: Path) -> NativeStack:
        return NativeStack(self.plan, self.shape.layout, self.dtype, load(build))

    def step(self, stack: TorchStack | NativeStack, weights: Tensor) -> tuple[Step, list[Tensor]]:
        """A step, and the running statistics after it."""
        stats = [s.clone() for s in self.stats]
        found = stack.gradient(
            self.images, self.labels, weights, stats, self.activations, self.smoothing, self.masks
        )
        return found, stats


@st.composite
def cases(draw: st.DrawFn) -> Case:
    side = draw(st.sampled_from([8, 11, 12, 16]))
    layers, left = [], side
    for _ in range(draw(st.integers(1, 4))):
        kernel = draw(st.sampled_from([1, 2, 3, 4, 5, 7, 9, 11]))
        padding, pool = draw(st.sampled_from([0, kernel // 2])), draw(st.booleans())
        after = (left + 2 * padding - kernel + 1) // (2 if pool else 1)
        if after >= 1:
            layers.append(Block(draw(st.integers(1, 17)), kernel, padding, pool))
            left = after
    layers = layers or [Block(4, 3, 1, True)]
    fc = tuple(draw(st.lists(st.integers(2, 34), max_size=3)))
    outputs = draw(st.sampled_from([2, 10, 20]))
    plain = Plain(
        side, draw(st.sampled_from([1, 3])), outputs, tuple(layers), fc, draw(st.booleans())
    )
    names = draw(st.lists(st.sampled_from(KNOWN), min_size=1, max_size=3))
    batch = draw(st.sampled_from([2, 5, 8, 10, 16, 32, 33, 64]))
    return Case(plain.plan, sorted(names), batch, draw(st.integers(0, 1000)))


@st.composite
def chains(draw: st.DrawFn) -> Case:
    """Layers of every kind that the native step computes, in any order that fits."""
    shape: Shape = (draw(st.sampled_from([1, 2, 3])), *[draw(st.sampled_from([5, 8, 12]))] * 2)
    layers = draw(maps(shape)) if draw(st.booleans()) else []
    flat: list[Layer] = [Flatten()]
    for width in draw(st.lists(st.integers(2, 20), max_size=2)):
        flat.append(Dense(width, draw(st.booleans())))
        flat += draw(st.permutations([Norm(), Activation(), Dropout()]))[: draw(st.integers(0, 3))]
    outputs = draw(st.sampled_from([2, 7]))
    plan = Plan(shape, (*layers, *flat, Dense(outputs, draw(st.booleans()))))
    names = draw(st.lists(st.sampled_from(KNOWN), min_size=1, max_size=2))
    return Case(plan, sorted(names), draw(st.sampled_from([3, 8, 17])), draw(st.integers(0, 99)))


@st.composite
def maps(draw: st.DrawFn, shape: Shape) -> list[Layer]:
    """Layers of feature maps."""
    found: list[Layer] = []
    for _ in range(draw(st.integers(1, 4))):
        kernel = draw(st.sampled_from([1, 2, 3, 5]))
        padding = draw(st.integers(0, kernel - 1))
        width = draw(st.integers(1, 9))
        candidates: list[Layer] = [
            Conv(width, kernel, draw(st.sampled_from([1, 2, 3])), padding, 1, draw(st.booleans())),
            Norm(),
            Activation(),
            Pool(draw(st.sampled_from([2, 3])), draw(st.integers(0, 2)), draw(st.integers(0, 1))),
            Pool(2, kind="average", padding=draw(st.integers(0, 1))),
            AdaptivePool(draw(st.integers(1, 3))),
            Dropout(draw(st.booleans())),
            Pool(),
        ]
        same = Conv(width, 3, padding=1, bias=draw(st.booleans()))
        inner = (same, *draw(st.permutations([Norm(), Activation(), Dropout(), same])))
        candidates.append(Residual(inner, (Conv(width, 1),)))
        candidates.append(Residual((Norm(), Activation(), Conv(shape[0], 3, padding=1))))
        layer = draw(st.sampled_from(candidates))
        try:
            shape = layer.gives(shape)
        except UsageError:
            continue
        found.append(layer)
    return found


def close(ours: Tensor, theirs: Tensor, tolerance: float) -> bool:
    """Equal, net by net, to `tolerance` of the net's largest value."""
    scale = theirs.abs().amax(-1, keepdim=True) + 1e-12
    return bool(((ours - theirs).abs() <= tolerance * scale).all())


@needs_build
@settings(deadline=None, max_examples=60)
@given(case=cases(), build=st.sampled_from(builds() or [Path()]))
def test_a_step_equals_the_twins(case: Case, build: Path) -> None:
    """In float64, for any plan, batch size, activation and each build for this processor."""
    equal_to_the_twin(case, build)


@needs_build
@settings(deadline=None, max_examples=150)
@given(case=chains(), build=st.sampled_from(builds() or [Path()]))
def test_a_step_of_any_chain_equals_the_twins(case: Case, build: Path) -> None:
    """With strides, pools of any size, layers without bias, residual blocks, in any order."""
    equal_to_the_twin(case, build)


def equal_to_the_twin(case: Case, build: Path) -> None:
    native, twin = case.native(build), case.torch()
    (ours, our_stats), (theirs, their_stats) = (
        case.step(stack, case.weights) for stack in (native, twin)
    )
    # Norms of channels that hardly vary scale rounding up by as much as 1 / sqrt(1e-5).
    assert close(ours.gradient, theirs.gradient, 1e-7)
    for name in ("loss", "nll", "correct"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=1e-9, atol=1e-9)
    for mine, other in zip(our_stats, their_stats, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)
    passes = [
        stack.logits(case.images, case.weights, case.stats, case.activations)
        for stack in (native, twin)
    ]
    assert close(passes[0].flatten(1), passes[1].flatten(1), 1e-9)


FLAT = Plain(9, 2, 3, (Block(3, 3, 1, False), Block(4, 2, 0, True)), (6, 5), True)


@needs_build
@pytest.mark.parametrize("build", builds(), ids=lambda b: b.name.split(".")[0])
@pytest.mark.parametrize("activation", KNOWN)
def test_float32_is_as_exact_as_torch(activation: str, build: Path) -> None:
    """Both are compared with the float64 step: errors of the same size, over twenty draws."""
    plan, worst = replace(FLAT, channels=3, side=16).plan, {"native": 0.0, "torch": 0.0}
    errors: dict[str, list[float]] = {name: [] for name in worst}
    for seed in range(20):
        exact = Case(plan, [activation], 32, seed)
        case = Case(plan, [activation], 32, seed, torch.float32)
        reference = exact.step(exact.torch(), exact.weights)[0].gradient
        for name, stack in (("native", case.native(build)), ("torch", case.torch())):
            gradient = case.step(stack, case.weights)[0].gradient.double()
            errors[name].append(float((gradient - reference).abs().max() / reference.abs().max()))
    medians = {name: sorted(found)[10] for name, found in errors.items()}
    assert medians["native"] < 4 * medians["torch"]


KINDS = {
    "convolution": replace(FLAT, conv=(Block(3, 3, 1, False),), fc=(), batch_norm=False),
    "unpadded convolutions": replace(
        FLAT, conv=(Block(3, 3, 0, False), Block(2, 2, 0, False)), fc=(), batch_norm=False
    ),
    "pooling": replace(FLAT, conv=(Block(3, 3, 1, True),), fc=(), batch_norm=False),
    "batch norm": replace(FLAT, conv=(Block(3, 3, 1, False),), fc=()),
    "dense and dropout": replace(FLAT, fc=(6,), batch_norm=False),
    "all of them": FLAT,
}


@pytest.mark.parametrize("stack", ["torch", pytest.param("native", marks=needs_build)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind: str, activation: str, stack: str) -> None:
    """Each tensor's gradient along a random direction, in float64."""
    case = Case(KINDS[kind].plan, [activation, activation], 12, seed=5)
    engine = case.torch() if stack == "torch" else case.native(builds()[-1])
    gradient = case.step(engine, case.weights)[0].gradient
    generator = torch.Generator().manual_seed(1)
    left, h = 0, 1e-6
    for spec in [t for t in case.shape.layout.tensors if t.role in TRAINABLE]:
        direction = torch.zeros_like(case.weights)
        here = slice(left, left + spec.size)
        direction[:, here] = torch.randn(
            direction[:, here].shape, generator=generator, dtype=torch.float64
        )
        above, below = (
            case.step(engine, case.weights + sign * h * direction)[0].loss for sign in (1, -1)
        )
        expected = (gradient * direction).sum(1)
        assert torch.allclose((above - below) / (2 * h), expected, rtol=1e-5, atol=1e-7), spec.name
        left += spec.size


def test_the_native_step_is_there_where_it_can_be_built() -> None:
    if shutil.which("c++") is None and shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    assert builds(), "the build of the native step failed: pip install -v -e . shows why"


SHOWN = """
import runpy
from setuptools.command.build_ext import build_ext
build_ext.build_extension = lambda self, ext: print(f"{self.build_temp} {ext.sources}")
runpy.run_path("setup.py", run_name="__main__")
"""


def test_no_two_builds_write_to_one_object(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    folders = ["--build-temp", str(tmp_path), "--build-lib", str(tmp_path)]
    run = subprocess.run(
        [sys.executable, "-c", SHOWN, "-q", "build_ext", *folders],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    shown = [line for line in run.stdout.splitlines() if line.startswith(str(tmp_path))]
    assert len(shown) == len(set(shown)) > 0


def test_an_activation_that_the_native_step_lacks_runs_on_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(ACTIVATIONS, "softplus", torch.nn.functional.softplus)
    shape = StackShape.of(FLAT.plan)
    found = arithmetic(shape, ["relu", "softplus"], torch.float32, torch.device("cpu"))
    assert isinstance(found, TorchStack)


def test_a_map_that_a_dense_layer_and_a_padded_convolution_read_is_left_to_torch() -> None:
    """The one takes it as it lies, the other with zeros around it."""
    padded = (Conv(2, 3, padding=1), Flatten(), Dense(5))
    both = Residual((Flatten(), Dense(5)), padded)
    shape = StackShape.of(Plan((1, 6, 6), (both, Dense(3))))
    found = arithmetic(shape, ["relu"], torch.float32, torch.device("cpu"))
    assert isinstance(found, TorchStack)


def test_the_native_step_knows_every_activation() -> None:
    assert set(KNOWN) == set(ACTIVATIONS)


@needs_build
def test_the_native_step_refuses_weights_of_another_plan() -> None:
    case = Case(FLAT.plan, ["relu"], 8)
    with pytest.raises(ValueError, match=r"weights: \(1, \d+\) is not \[1, \d+\]"):
        case.step(case.native(builds()[-1]), case.weights[:, :-1].contiguous())
