"""Stored networks: whole whenever saving stops, and read with suspicion."""

from __future__ import annotations

import json
import os
import shutil
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from support.killing import KilledError, killed_at
from weightspace.errors import DataError, UsageError
from weightspace.learners.neural import Sequence


def ordered(nets: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(nets, 12)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(int)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    x, y = ordered(40)
    return Sequence(epochs=1, tokens=3).fit(x, y).save(tmp_path_factory.mktemp("stored"))


@pytest.fixture
def folder(stored, tmp_path):
    return Path(shutil.copytree(stored, tmp_path / "network"))


def test_a_network_over_another_is_one_or_the_other(folder, tmp_path):
    x, y = ordered(40)
    new = Sequence(epochs=1, tokens=3, seed=1).fit(x, y)
    old = Sequence.load(folder).predict_proba(x)
    left = []
    for n in count():
        place = shutil.copytree(folder, tmp_path / f"{n}")
        try:
            with killed_at(n):
                new.save(place)
            break
        except KilledError:
            found = Sequence.load(place).predict_proba(x)
            left.append(int(not np.allclose(found, old)))
            assert np.allclose(found, new.predict_proba(x) if left[-1] else old)
    assert left == sorted(left)
    assert set(left) == {0, 1}
    np.testing.assert_allclose(Sequence.load(place).predict_proba(x), new.predict_proba(x))
    assert len(list(place.iterdir())) == 2


def test_arrays_of_another_network_and_a_foreign_json(folder, tmp_path):
    x, y = ordered(40)
    other = Sequence(epochs=1, tokens=3, seed=1).fit(x, y).save(tmp_path / "other")
    shutil.copy(other / "network.safetensors", folder)
    with pytest.raises(DataError, match=r"network\.safetensors: holds other arrays than network"):
        Sequence.load(folder)
    (other / "network.json").write_text('{"nodes": []}')
    with pytest.raises(UsageError, match=r"network\.json: is not a network of weightspace"):
        Sequence(epochs=1, tokens=3).fit(x, y).save(other)
    assert (other / "network.json").read_text() == '{"nodes": []}'


@pytest.mark.parametrize("name", ["network.json", "network.safetensors"])
@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "loop"])
def test_what_is_no_file_of_a_network_is_refused_at_once(folder, name, kind):
    place = folder / name
    place.unlink()
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to({"device": "/dev/zero", "loop": name}[kind])
    said = "symbolic links" if kind == "loop" else "is not a regular file"
    with pytest.raises(DataError, match=rf"{said}") as caught:
        Sequence.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"length": 10**13}, {"length": 10**400}, {"classes": [0] * 9}])
def test_a_network_takes_no_more_memory_than_its_file_has(folder, change):
    plain = json.loads((folder / "network.json").read_text())
    (folder / "network.json").write_text(json.dumps(plain | change))
    with pytest.raises(DataError, match="not a complete network") as caught:
        Sequence.load(folder)
    assert "allocate" not in str(caught.value)
