"""Copies of a loaded process have loaded all that they use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support import loaded, recorded, tiny_runs
from support.copies import Copy


@pytest.mark.parametrize("act", [tiny_runs.watched, recorded.train])
def test_a_copy_loads_nothing_large(tmp_path: Path, act: Callable[..., object]) -> None:
    out, err = Copy(loaded.told, act, str(tmp_path / "zoo")).communicate()
    (line,) = [line for line in out.splitlines() if line.startswith("loaded")]
    names = line.split()[1:]
    assert not [name for name in names if name.startswith("weightspace.")]
    assert len(names) < 20, names  # torch alone is a thousand
    assert err == ""
