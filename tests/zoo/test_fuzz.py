"""Files of a zoo changed at random: refused in one line, or read as what was written."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.hostile_files import KINDS, Change, Judge

CHANGES = st.builds(
    Change,
    st.sampled_from(KINDS),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 2**16),
)


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    with closing(Judge(tmp_path_factory.mktemp("fuzz"))) as one:
        yield one


def hunt(judge: Judge, examples: int) -> Counter[str]:
    """Judge so many changed zoos; how often each kind of file was refused, seen or as it was."""
    told: Counter[str] = Counter()
    files = st.sampled_from(judge.files)

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(files, CHANGES), min_size=1, max_size=3))
    def judged(changes):
        answer = judge.of(changes)
        assert answer["wrong"] == ""
        how = "refused" if "refused" in answer else "seen" if answer["seen"] else "as it was"
        told.update(f"{file.parts[0]} {how}" for file, _ in changes)

    judged()
    return told


def test_changed_files_are_refused_or_read_right(judge):
    told = hunt(judge, 150)
    for kind in ("zoo.json", "rounds", "layouts", "nets", "snapshots", "shards"):
        assert told[f"{kind} refused"] > 0
    assert told["shards seen"] > 0


@pytest.mark.slow
def test_changed_zoos_of_bfloat16(tmp_path):
    with closing(Judge(tmp_path, "bfloat16")) as judge:
        hunt(judge, 1_000)


@pytest.mark.slow
def test_ten_thousand_changed_zoos(judge):
    hunt(judge, 10_000)
