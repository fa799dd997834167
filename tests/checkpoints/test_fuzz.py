"""Damaged files of every form: refused in one line, or read as what stands in them; never a crash.

Each goes through `inspect`, `read_checkpoint` and the reading of every tensor, in a process with
little memory. `support.damage_judge` says what must hold, `support.damage` how files are damaged.
"""

from __future__ import annotations

from contextlib import closing

import pytest

from support.damage_judge import Judge
from support.damage_table import GROWN, judged, table, wrong
from support.whole_files import NAMES


def test_a_few_hundred_damaged_files(tmp_path):
    with closing(Judge(tmp_path)) as judge:
        answers = [
            {"name": name, "seed": seed, **judge.of(name, seed)}
            for name in NAMES
            for seed in range(6)
        ]
    assert wrong(answers) == []
    assert sum(one["read"] for one in answers) > 50
    assert sum(not one["read"] for one in answers) > 100
    assert sum(one["other"] == "same" for one in answers) > 10  # else nothing was compared
    assert sum(one["inside"] for one in answers) > 10
    assert judge.grown < GROWN


@pytest.mark.slow
def test_twenty_thousand_damaged_files(tmp_path):
    answers = judged(tmp_path, 20_000)
    print(table(answers))  # the figures of docs/formats.md
    assert wrong(answers) == []
