"""Going on with a zoo of a stranger: what its rounds say of the work is not believed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.tiny_runs import TINY, small
from weightspace.errors import DataError
from weightspace.sampling import reproduce, sample
from weightspace.zoo import Zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return small(tmp_path_factory.mktemp("tiny") / "zoo", nets=4).path


def changed(file: Path, **values: Any) -> None:
    plain = json.loads(file.read_text())
    plain.pop("checksum")
    plain.update(values)
    file.write_text(json.dumps(plain))


@pytest.mark.parametrize(
    "paces",
    [
        None,
        {},
        [],
        "all",
        {"2^20": None},
        {f"2^{k}": {"stack": 0, "seconds": 1.0} for k in range(60)},
        {f"2^{k}": {"stack": -1, "seconds": 1.0} for k in range(60)},
        {f"2^{k}": {"stack": 1.5, "seconds": 1.0} for k in range(60)},
        {f"2^{k}": {"stack": 1, "seconds": float("nan")} for k in range(60)},
        {f"2^{k}": {"stack": 1, "seconds": 10**400} for k in range(60)},
        {f"2^{k}": {"stack": 1, "seconds": 1.0, "code": "x"} for k in range(60)},
    ],
    ids=lambda v: str(v)[:40],
)
def test_a_round_that_does_not_say_how_its_work_was_cut(zoo, tmp_path, paces):
    copy = Path(shutil.copytree(zoo, tmp_path / "zoo"))
    changed(copy / "rounds" / "000001.json", info={"paces": paces})
    with pytest.raises(DataError, match="does not say how its work was divided"):
        sample(TINY, nets=4, out=copy, snapshots=5, workers=1)


def test_a_round_that_reaches_far_beyond_what_was_asked_for(zoo, tmp_path):
    copy = Path(shutil.copytree(zoo, tmp_path / "zoo"))
    changed(copy / "rounds" / "000001.json", nets=[[0, 10**7]])
    with pytest.raises(DataError, match="plans 10,000,000 nets"):
        sample(TINY, nets=4, out=copy, snapshots=5, workers=1)


@pytest.mark.parametrize("snapshots", [10**30, 0, -1, "many", None, float("inf")])
def test_a_zoo_that_says_it_took_more_snapshots_than_any(zoo, tmp_path, snapshots):
    copy = Path(shutil.copytree(zoo, tmp_path / "zoo"))
    info = json.loads((copy / "zoo.json").read_text())["info"]
    changed(copy / "zoo.json", info=info | {"snapshots": snapshots})
    with pytest.raises(DataError, match="has no record of its snapshots and device"):
        reproduce(copy, Zoo(copy).nets["net"][0])
