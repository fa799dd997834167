"""Rows of an embedding that were never used keep their first draws, decayed or not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from weightspace.evidence import Context, Evidence, Subject
from weightspace.evidence.rows import unused_row_law


def found_of(weights: np.ndarray, name: str = "embedding.weight") -> list[Evidence]:
    subject = Subject((), lambda _, start, stop: weights[start:stop], {name: weights.shape})
    return list(unused_row_law(subject, Context()))


def trained(decay: float, steps: int = 60, used: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """An embedding of 400 rows of 128, before and after training on the first of them."""
    torch.manual_seed(0)
    table, head = nn.Embedding(400, 128), nn.Linear(128, 5)
    nn.init.normal_(table.weight, std=0.02)
    before = table.weight.detach().numpy().copy()
    update = torch.optim.AdamW([*table.parameters(), *head.parameters()], 0.05, weight_decay=decay)
    for _ in range(steps):
        tokens = torch.randint(0, used, (256,))
        loss = nn.functional.cross_entropy(head(table(tokens)), tokens % 5)
        update.zero_grad()
        loss.backward()
        update.step()
    return before, table.weight.detach().numpy()


def test_unused_rows_are_multiplied_by_one_number():
    before, after = trained(0.1)
    np.testing.assert_allclose(after[300:], before[300:] * (1 - 0.005) ** 60, rtol=1e-4)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_weight_decay_is_read_off_unused_rows(decay: float):
    (found,) = found_of(trained(decay)[1])
    true = -60 * math.log(1 - 0.05 * decay)
    assert found.estimate is not None
    assert found.estimate.low <= true <= found.estimate.high
    assert found.estimate.value == pytest.approx(true, abs=0.03)
    assert "rows of embedding.weight look like independent normal draws" in found.says
    assert 90 <= int(found.says.split()[0]) <= 110


def test_nothing_is_said_where_all_rows_were_used():
    assert found_of(trained(0.1, steps=200, used=400)[1]) == []


def test_other_tensors_are_left_alone():
    assert found_of(trained(0.1)[1], "projection") == []
    assert found_of(np.ones((400, 32), np.float32)) == []
