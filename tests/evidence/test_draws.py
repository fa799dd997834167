"""torch's random numbers by seed are those that torch draws."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from weightspace.evidence.draw_orders import kernel_limit
from weightspace.evidence.draws import Stream, normal_words

SEEDS = (0, 42, 3407, 2**32 + 5, -1, 2**40 + 7)
TYPES = [(np.float32, torch.float32), (np.float64, torch.float64)]


@pytest.mark.parametrize("seed", SEEDS)
def test_uniform_numbers_of_float32_are_equal_bit_for_bit(seed):
    torch.manual_seed(seed)
    stream = Stream(seed)
    for count, low, high in ((5, -0.1, 0.1), (3000, -1 / 28, 1 / 28), (33, 0, 1), (700, -0.3, 0.7)):
        expected = torch.empty(count).uniform_(low, high).numpy()
        assert (stream.uniform(count, low, high) == expected).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_uniform_numbers_of_float64_are_equal_to_the_last_place(seed):
    torch.manual_seed(seed)
    stream = Stream(seed)
    for count, low, high in ((5, -0.1, 0.1), (3000, 0, 1)):
        expected = torch.empty(count, dtype=torch.float64).uniform_(low, high).numpy()
        found = stream.uniform(count, low, high, np.float64)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2.3e-16)


@pytest.mark.parametrize(("ours", "theirs"), TYPES)
@pytest.mark.parametrize("seed", SEEDS)
def test_normal_numbers_are_equal_to_the_last_places_in_any_sequence_of_sizes(seed, ours, theirs):
    torch.manual_seed(seed)
    stream = Stream(seed)
    for count in (16, 3, 5, 1000, 48, 17, 1, 2, 15):
        expected = torch.empty(count, dtype=theirs).normal_(0.3, 2).numpy()
        found = stream.normal(count, 0.3, 2, ours)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(
            found, expected, rtol=0, atol=2e-6 if ours is np.float32 else 2e-14
        )
    assert (stream.uniform(9) == torch.rand(9).numpy()).all()  # both have used as many words


@pytest.mark.parametrize("count", [16, 17, 31, 32, 1000])
def test_the_words_that_normal_numbers_take_can_be_left_out(count):
    torch.manual_seed(7)
    torch.empty(count).normal_()
    stream = Stream(7)
    stream.skip(normal_words(count))
    assert (stream.uniform(4) == torch.rand(4).numpy()).all()


def test_a_permutation_is_that_of_randperm():
    torch.manual_seed(11)
    stream = Stream(11)
    assert (stream.permutation(1000) == torch.randperm(1000).numpy()).all()
    assert (stream.permutation(1) == torch.randperm(1).numpy()).all()
    assert (stream.uniform(4) == torch.rand(4).numpy()).all()


def test_centred_numbers_are_uniform_ones_between_minus_one_and_one():
    assert (Stream(3).centred(1000) == Stream(3).uniform(1000, -1, 1)).all()


def test_a_restarted_stream_is_a_new_one():
    stream = Stream(1)
    stream.normal(3)
    stream.restart(2)
    assert (stream.normal(3) == Stream(2).normal(3)).all()


@pytest.mark.parametrize(
    "make",
    [lambda: nn.Linear(37, 19), lambda: nn.Conv2d(3, 7, 5), lambda: nn.Conv2d(8, 4, 3, groups=2)],
)
def test_the_layers_of_torch_begin_with_these_numbers(make):
    torch.manual_seed(5)
    layer = make()
    fan_in = math.prod(layer.weight.shape[1:])
    stream = Stream(5)
    limit = kernel_limit(fan_in)
    kernel = stream.uniform(layer.weight.numel(), -limit, limit)
    bias = stream.uniform(layer.bias.numel(), -(fan_in**-0.5), fan_in**-0.5)
    assert (kernel == layer.weight.detach().numpy().reshape(-1)).all()
    assert (bias == layer.bias.detach().numpy()).all()
