"""Analyses that run in processes side by side give what they give one after the other."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from polars.testing import assert_frame_equal

from support.populations import synthetic_zoo
from weightspace.dissection import dissect, together
from weightspace.errors import UsageError
from weightspace.meta import CLASSIFIERS

ASKED = {"seeds": (0,), "permutations": 5, "slices_per_net": 2, "classifiers": ["shallow"]}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return synthetic_zoo(tmp_path_factory.mktemp("zoo") / "zoo", nets=30)


@pytest.fixture
def two(monkeypatch):
    """Two processes, however few nets and cores there are."""
    monkeypatch.setattr(together, "FEWEST", 2)
    monkeypatch.setattr(together.loky, "cpu_count", lambda: 2)


def test_processes_change_no_number(zoo, monkeypatch):
    heard, threads = [], set()

    def listen(*told):
        heard.append(told)
        threads.add(threading.get_ident())

    asked = {"positions": 4, "also": ("slices",), **ASKED}
    alone = dissect(zoo, **asked)
    monkeypatch.setattr(together, "FEWEST", 2)
    monkeypatch.setattr(together.loky, "cpu_count", lambda: 2)
    found = dissect(zoo, progress=listen, **asked)
    assert ("where", 12, 12) in heard
    assert threading.get_ident() not in threads  # all of it came from processes
    assert found.parts.keys() == alone.parts.keys()
    for name in ("where", "when", "slices"):
        assert_frame_equal(found.parts[name].frame(), alone.parts[name].frame())
    assert_frame_equal(found.parts["much"].frame(), alone.parts["much"].frame())


def test_the_longest_analyses_start_first(zoo, two, monkeypatch):
    started = []

    class Pool(together.loky.ProcessPoolExecutor):
        def submit(self, work, name):
            started.append(name)
            return super().submit(work, name)

    monkeypatch.setattr(together.loky, "ProcessPoolExecutor", Pool)
    dissect(zoo, positions=4, **(ASKED | {"also": ("slices", "map")}))
    assert started == ["where", "slices", "much", "when", "map", "training"]


def test_an_error_of_a_process_is_that_of_the_analysis(zoo, two):
    with pytest.raises(UsageError, match="unheard-of: no such classifier"):
        dissect(zoo, **(ASKED | {"classifiers": ["unheard-of"], "also": ()}))


def test_a_classifier_of_ones_own_is_known(zoo, two, monkeypatch):
    monkeypatch.setitem(CLASSIFIERS, "own", replace(CLASSIFIERS["shallow"], name="own"))
    found = dissect(zoo, positions=4, **(ASKED | {"classifiers": ["own"], "also": ()}))
    assert "own" in found.parts["much"].frame()["classifier"].to_list()
