"""The made-up population, known to the benchmark for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.benchmarks import made_up_population
from weightspace.bench import Result, encoder, run
from weightspace.zoo import Zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    with made_up_population(tmp_path_factory.mktemp("bench") / "zoo") as made:
        yield made


@pytest.fixture(scope="module")
def result(zoo: Zoo) -> Result:
    return run(zoo, encoder("layers"))


@pytest.fixture
def file(result: Result, tmp_path: Path) -> Path:
    result.write(tmp_path / "layers.json")
    return tmp_path / "layers.json"
