"""Check an installed weightspace: native libraries compute, and no data file is missing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import torch

import weightspace
from weightspace.features import native as native_features
from weightspace.features.local import natively, twin
from weightspace.networks import Plan
from weightspace.networks.batch import Images
from weightspace.networks.native import NativeStack, builds, load
from weightspace.networks.stack import StackShape, TorchStack
from weightspace.space import preset

ROOT = Path(weightspace.__file__).parent
assert "site-packages" in ROOT.parts, f"{ROOT} is not an installed package"

for name in ("demo", "nws-small", "nws-fixed", "nws-main", "model-zoos"):
    assert preset(name).properties, f"the preset {name} is empty"
SOURCE = Path(__file__).parents[1]
PROJECT = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))
for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items():
    folder = Path(*package.split("."))
    for pattern in patterns:
        found = (SOURCE / "src" / folder).glob(pattern)
        names = {path.relative_to(SOURCE / "src") for path in found if path.is_file()}
        names = {name for name in names if "__pycache__" not in name.parts}
        assert names, f"{package}: no file is called {pattern}"
        missing = [str(name) for name in names if not (ROOT.parent / name).is_file()]
        assert not missing, f"missing: {', '.join(missing)}"
for arguments in (["--version"], ["spaces"], ["audit", "--help"]):
    subprocess.run([sys.executable, "-m", "weightspace", *arguments], check=True)

(recipe,) = preset("demo").draw(1, seed=0)
shape = StackShape.of(Plan.from_recipe(recipe))
numbers = torch.Generator().manual_seed(0)
vector = torch.rand(1, shape.layout.size, generator=numbers) * 0.2
weights, stats = shape.split(vector)
pool = torch.randint(0, 256, (40, *shape.plan.input), dtype=torch.uint8, generator=numbers)
images = Images(pool, torch.arange(32).unsqueeze(0))
expected = TorchStack(shape, torch.float32).logits(images, weights, stats, ["relu"])
assert builds(), "the native step was not built"
for build in builds():
    native = NativeStack(shape.plan, shape.layout, torch.float32, load(build))
    found = native.logits(images, weights, stats, ["relu"])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    print(f"{build.name}: the native step agrees with torch")

values = np.random.default_rng(0).normal(size=(4, 500)).astype(np.float32)
assert native_features.builds(), "native features were not built"
for build in native_features.builds():
    own = natively(native_features.load(build), values.shape[1])(values)
    np.testing.assert_allclose(own, twin(values), rtol=1e-4, atol=1e-4)
    print(f"{build.name}: native features agree with NumPy")
