"""Damaged and recombined files: refused in one line, or read as torch and safetensors read them."""

from __future__ import annotations

import io
import pickletools
import random
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from support.hostile_files import KINDS, Change
from weightspace.checkpoints.files import read_file
from weightspace.errors import DataError

Found = dict[str, tuple[str, np.ndarray]]
WHOLE = ("conv.weight", "conv.bias", "half.weight", "fine.weight")  # in all forms as one piece


def state() -> dict[str, torch.Tensor]:
    """Small tensors of values that stand nowhere else."""
    base = torch.arange(60, dtype=torch.float32).reshape(6, 10) + 1000.5
    return {
        "conv.weight": torch.arange(36, dtype=torch.float32).reshape(2, 2, 3, 3) + 0.25,
        "conv.bias": torch.tensor([-1.5, -2.5]),
        "view.weight": base[1:4, 2:5],
        "turned.weight": base.T,
        "half.weight": (torch.arange(8).reshape(2, 4) + 101).to(torch.float16),
        "fine.weight": torch.arange(6, dtype=torch.float64).reshape(2, 3) + 7000.125,
        "steps": torch.tensor(12),
    }


def saved(form: str) -> bytes:
    buffer = io.BytesIO()
    if form == "safetensors":
        return safetensors.torch.save({k: v.contiguous() for k, v in state().items()})
    content = {"epoch": 3, "state_dict": state(), "optimizer": {"lr": 0.1, "steps": [1, 2]}}
    torch.save(content, buffer, _use_new_zipfile_serialization=form != "legacy")
    return buffer.getvalue()


def recombined(pickle: bytes, random_: random.Random) -> bytes:
    """The pickle with some of its opcodes left out, said twice, exchanged or taken for others."""
    starts = [at for _, _, at in pickletools.genops(pickle) if at is not None]
    pieces = [pickle[a:b] for a, b in zip(starts, [*starts[1:], len(pickle)], strict=True)]
    for _ in range(random_.randint(1, 4)):
        a, b = random_.randrange(len(pieces)), random_.randrange(len(pieces))
        kind = random_.choice(("lose", "repeat", "swap", "copy", "move"))
        if kind == "lose":
            del pieces[a]
        elif kind == "repeat":
            pieces.insert(a, pieces[a])
        elif kind == "swap":
            pieces[a], pieces[b] = pieces[b], pieces[a]
        elif kind == "copy":
            pieces[a] = pieces[b]
        else:
            pieces[a:a] = pieces[b : b + random_.randint(1, 40)]
    return b"".join(pieces)


def with_recombined(whole: bytes, form: str, random_: random.Random) -> bytes:
    if form == "legacy":
        stream = io.BytesIO(whole)
        for _ in range(3):
            for _ in pickletools.genops(stream):
                pass
        begin = stream.tell()
        for _ in pickletools.genops(stream):
            pass
        end = stream.tell()
        return whole[:begin] + recombined(whole[begin:end], random_) + whole[end:]
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(buffer, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename.endswith("data.pkl"):
                content = recombined(content, random_)
            new.writestr(item.filename, content)
    return buffer.getvalue()


def damaged(whole: bytes, form: str, random_: random.Random) -> bytes:
    if form != "safetensors" and random_.random() < 0.5:
        return with_recombined(whole, form, random_)
    for _ in range(random_.randint(1, 3)):
        # Most of a small file is names and numbers; of values, any damage is as good as another.
        change = Change(random_.choice(KINDS), random_.random(), random_.randrange(2**20))
        whole = change.of(whole)
    return whole


def ours(path: Path) -> Found:
    found = {}
    with read_file(path) as stored:
        for name, tensor in stored.tensors.items():
            out = np.full(tensor.size, np.nan, np.float32)
            if not tensor.dtype.complex:
                stored.values.into(tensor, out)
            found[name] = (tensor.dtype_name, out.reshape(tensor.shape))
    return found


def holds(content: dict) -> bool:
    """Whether tensors are in a dict, or in a dict within it."""
    inner = [value for value in content.values() if isinstance(value, dict)]
    return any(isinstance(v, torch.Tensor) for v in content.values()) or any(map(holds, inner))


def theirs(path: Path, form: str) -> Found | None:
    """What torch or safetensors makes of a file that we take for sound; None where nothing."""
    try:
        if form == "safetensors":
            content = safetensors.torch.load(path.read_bytes())
        else:
            with warnings.catch_warnings(), path.open("rb") as file:
                warnings.simplefilter("ignore")
                content = torch.load(file, weights_only=True)
        # A damaged key still leads to the state dict.
        while not any(isinstance(value, torch.Tensor) for value in content.values()):
            content = next(v for v in content.values() if isinstance(v, dict) and holds(v))
    except Exception:
        return None
    return {
        "tensor" if isinstance(name, torch.Tensor) else str(name): (
            str(tensor.dtype).removeprefix("torch."),
            np.zeros(tensor.shape)
            if tensor.is_complex()
            else tensor.resolve_neg().to(torch.float32).numpy(),
        )
        for name, tensor in content.items()
        if isinstance(tensor, torch.Tensor)
    }


def wrong(found: Found, right: Found) -> str:
    """In which tensor two readings differ; empty where in none."""
    if sorted(found) != sorted(right):
        return f"names {sorted(found)} and {sorted(right)}"
    for name, (dtype, values) in found.items():
        if dtype != right[name][0] or values.shape != right[name][1].shape:
            return f"{name}: {dtype} {values.shape}, {right[name][0]} {right[name][1].shape}"
        if not dtype.startswith("complex"):
            with np.errstate(invalid="ignore"):
                if not np.array_equal(values, right[name][1].astype(np.float32), equal_nan=True):
                    return f"{name}: other values"
    return ""


def fuzz(path: Path, form: str, rounds: int, seed: int) -> dict[str, int]:
    """How many damaged files were refused, read as by the others, and read by us alone."""
    random_ = random.Random(seed)
    whole = saved(form)
    path.write_bytes(whole)
    sound = ours(path)
    assert not wrong(sound, theirs(path, form) or {})
    true = np.unique(np.concatenate([values.reshape(-1) for _, values in sound.values()]))
    tensors = state()
    pieces = [tensors[name].numpy().tobytes() for name in WHOLE]
    if form != "safetensors":  # which keeps no storages
        pieces.append(tensors["turned.weight"].T.numpy().tobytes())
    assert all(piece in whole for piece in pieces)
    counts = {"refused": 0, "same": 0, "ours alone": 0}
    for number in range(rounds):
        data = damaged(whole, form, random_)
        path.write_bytes(data)
        try:
            found = ours(path)
        except DataError as error:
            said = str(error)
            counts["refused" if len(said.splitlines()) == 1 else said] += 1
            continue
        right = theirs(path, form)
        if right is not None:
            assert wrong(found, right) == "", (seed, number)
            counts["same"] += 1
            continue
        counts["ours alone"] += 1
        if all(piece in data for piece in pieces):
            # Whatever the description became: what is read are values of the file.
            for name, (dtype, values) in found.items():
                if dtype in ("float32", "float16", "float64"):
                    assert np.isin(values, true).all(), (seed, number, name)
    return counts


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_a_few_hundred_damaged_files(tmp_path, form):
    counts = fuzz(tmp_path / "net", form, 300, seed=1)
    assert counts["refused"] > 100
    assert counts["same"] > 10  # else nothing was compared


@pytest.mark.slow
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_twenty_thousand_damaged_files(tmp_path, form):
    counts = fuzz(tmp_path / "net", form, 20_000 // 3 + 1, seed=2)
    print(form, counts)  # the figures of docs and reports
    assert sum(counts.values()) == 20_000 // 3 + 1
