"""What the page about entries of one's own says, on the command line and for every table."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from support.nets import BASE, small
from weightspace.errors import UsageError
from weightspace.meta.design.labels import labels_of
from weightspace.training import Pool, StackTrainer
from weightspace.training.names import TABLES
from weightspace.zoo import Zoo

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
DEFINITIONS, _, SCRIPT = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
(SPACE,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("where", ["in the script", "in a module beside it"])
def test_the_script_of_the_page_samples_in_two_processes(tmp_path: Path, where: str) -> None:
    (tmp_path / "own.yaml").write_text(SPACE, encoding="utf-8")
    if where == "in the script":
        script = DEFINITIONS + SCRIPT
    else:
        (tmp_path / "entries.py").write_text(DEFINITIONS, encoding="utf-8")
        script = "import entries\n" + SCRIPT
    (tmp_path / "own.py").write_text(script, encoding="utf-8")
    arguments = [
        "own.py",
        "sample",
        "own.yaml",
        "--nets",
        "8",
        "--out",
        "zoo",
        "--snapshots",
        "2",
        "--workers",
        "2",
    ]
    subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env=os.environ, check=True, timeout=120
    )
    zoo = Zoo(tmp_path / "zoo")
    assert zoo.nets.height == 8
    assert set(zoo.nets["initialization"]) == {"fan_out_normal", "glorot_normal"}
    labels = labels_of(zoo)
    assert labels.levels["optimizer"] == ("adam", "signum")
    assert labels.levels["activation"] == ("relu", "swish")


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's entries, for one test."""
    found: dict[str, object] = {"__name__": "entries"}
    before = {field: dict(table) for field, table in TABLES.items()}
    exec(DEFINITIONS, found)
    own = {
        field: {name: entry for name, entry in table.items() if name not in before[field]}
        for field, table in TABLES.items()
    }
    assert {name for names in own.values() for name in names} == {
        *("signum", "swish", "fan_out_normal")  # and none that was there
    }
    for field, table in TABLES.items():
        for name in own[field]:
            del table[name]
            monkeypatch.setitem(table, name, own[field][name])


def test_an_entry_trains_among_others_as_it_trains_alone(entries: None) -> None:
    """And does what it says: a step of signum is the learning rate in every weight."""
    pool = Pool.of({"digits": small("digits")})
    own = replace(
        BASE, optimizer="signum", learning_rate=0.01, activation="swish",
        initialization="fan_out_normal",
    )  # fmt: skip
    others = [replace(BASE, seed=1, optimizer="rmsprop"), replace(BASE, seed=2, activation="tanh")]
    together = StackTrainer([own, *others], pool, snapshots=2, dtype=torch.float64)
    alone = StackTrainer([own], pool, snapshots=2, dtype=torch.float64)
    before = alone.weights.clone()
    for trainer in (together, alone):
        trainer.train_step()
    moved = (alone.weights - before).abs()
    assert torch.allclose(moved[moved > 0], torch.tensor(0.01, dtype=torch.float64))
    assert (moved > 0).double().mean() > 0.5
    row = [recipe.net for recipe in together.recipes].index(own.net)
    # Where a gradient is nothing but rounding, its sign is too.
    same = torch.isclose(together.weights[row], alone.weights[0], rtol=0, atol=1e-12)
    assert same.double().mean() > 0.98


@pytest.mark.parametrize("field", TABLES)
def test_a_net_that_names_what_is_not_there_is_refused(field: str) -> None:
    pool = Pool.of({"digits": small("digits")})
    recipe = replace(BASE, **{field: "mine"})
    known = f"{field}: 'mine' is unknown; known are {next(iter(TABLES[field]))}"
    with pytest.raises(UsageError, match=known):
        StackTrainer([recipe], pool)
