"""Inputs that never vary: what training does to their weights, and what the law says of it."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from support.dense_nets import blobs, dense, published, subject_of, train
from weightspace.evidence import Context, Evidence, Subject
from weightspace.evidence.fingerprints import Fingerprint, add, fingerprint_of, known
from weightspace.evidence.inputs import input_law, pixel_map
from weightspace.evidence.pixels import exchangeable, neighbours
from weightspace.evidence.shrinkage import PRODUCT
from weightspace.evidence.still import first_weights

BLOBS = blobs()
DARK = (BLOBS.x_train == 0).all(0).ravel()


def trained(optimizer: str, **settings: float) -> tuple[np.ndarray, np.ndarray]:
    """The weights of dark pixels before and after training, in float64."""
    net = dense(256, 16, 10, dtype=torch.float64)
    before = net[0].weight.detach().numpy()[:, DARK].copy()
    train(net, BLOBS, optimizer, **settings)
    return before, net[0].weight.detach().numpy()[:, DARK]


def by_claim(net: nn.Module | Subject, context: Context | None = None) -> dict[str, Evidence]:
    subject = net if isinstance(net, Subject) else subject_of(net)
    return {one.claim: one for one in input_law(subject, context or Context(images=BLOBS))}


def p_values(evidence: Evidence) -> dict[str, float]:
    return {str(value): one.p_value for one in evidence.hypotheses for value in one.values}


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw", "rmsprop"])
def test_weights_of_dark_pixels_keep_their_first_values_exactly(optimizer: str):
    before, after = trained(optimizer, lr=0.01)
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_weight_decay_multiplies_them_all_by_one_number(optimizer: str):
    before, after = trained(optimizer, lr=0.02, decay=0.3, steps=40)
    np.testing.assert_allclose(after, before * (1 - 0.02 * 0.3) ** 40, rtol=1e-12)


def test_weight_decay_within_adam_moves_them_at_the_step_size():
    before, after = trained("adam", lr=1e-3, decay=0.01, steps=20)
    far = np.abs(before) > 0.03
    moved = (np.abs(before) - np.abs(after))[far]
    assert moved.min() > 0.9 * 0.02
    assert moved.max() <= 0.02


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "rmsprop"])
def test_where_the_constant_is_not_0_those_of_a_unit_move_together(optimizer: str):
    before, after = trained(optimizer, lr=0.01, mean=0.3, sd=0.4)
    moves = after - before
    assert np.abs(moves).max() > 1e-3
    np.testing.assert_allclose(moves, moves[:, :1].repeat(moves.shape[1], 1), atol=1e-12)


def test_training_treats_dark_pixels_alike_even_if_decay_goes_through_adam():
    order = np.arange(256)
    order[DARK] = np.random.default_rng(1).permutation(order[DARK])
    one = dense(256, 16, 10, dtype=torch.float64)
    other = copy.deepcopy(one)
    with torch.no_grad():
        other[0].weight.copy_(one[0].weight[:, order])
    settings = {"lr": 1e-3, "decay": 0.02, "mean": 0.5, "sd": 0.5}
    train(one, BLOBS, "adam", **settings)
    train(other, BLOBS, "adam", **settings)
    np.testing.assert_allclose(
        other[0].weight.detach().numpy(), one[0].weight.detach().numpy()[:, order], atol=1e-9
    )


def test_a_set_of_ones_own_is_recognized_and_so_are_scaling_and_first_weights():
    net = train(dense(256, 64, 10), BLOBS, "adam", lr=2e-3, steps=300)
    found = by_claim(net)
    assert p_values(found["dataset"])["blobs"] > 0.01
    assert "pixels that never vary in blobs, as it moved" in found["dataset"].says
    assert p_values(found["inputs"])["unit"] > 1e-3
    assert p_values(found["inputs"])["symmetric"] < 1e-4
    assert p_values(found["inputs"])["centered"] >= 0.01  # by a mean image, which is 0 there
    initial = p_values(found["initialization"])
    assert initial["torch_default"] > 0.01
    assert max(initial["he_normal"], initial["glorot_normal"]) < 1e-6
    assert found["weight_decay"].estimate is not None
    assert found["weight_decay"].estimate.value < 0.05
    assert p_values(found["optimizer"])["sgd"] > 0.01


def test_a_shift_tells_that_inputs_were_centered():
    net = train(dense(256, 64, 10), BLOBS, "adam", lr=2e-3, steps=300, mean=0.5, sd=0.5)
    found = by_claim(net)["inputs"]
    assert "inputs were centered or standardized" in found.says
    assert p_values(found)["unit"] <= 0.01
    assert p_values(found)["centered"] > 0.1


def test_inverted_images_are_still_from_0_to_1():
    net = train(dense(256, 64, 10), BLOBS, "adam", lr=2e-3, steps=300, mean=1.0, sd=-1.0)
    assert p_values(by_claim(net)["inputs"])["unit"] >= 0.01


def test_what_weight_decay_took_is_measured():
    net = train(dense(256, 64, 10), BLOBS, "adamw", lr=2e-3, decay=0.8, steps=400)
    found = by_claim(net)
    estimate = found["weight_decay"].estimate
    assert estimate is not None
    true = -400 * math.log(1 - 2e-3 * 0.8)
    assert estimate.name == PRODUCT
    assert estimate.low <= true <= estimate.high
    assert f"{true:.1f}"[:3] in found["weight_decay"].says
    assert p_values(found["initialization"])["torch_default"] > 0.01
    claimed = Context(claims={"initialization": "he_uniform"}, images=BLOBS)
    again = by_claim(net, claimed)["weight_decay"].estimate
    assert again is not None
    gain = math.log(6) / 2  # the standard deviation of he_uniform by that of torch_default
    assert again.value == pytest.approx(estimate.value + gain, abs=1e-6)
    assert again.low <= again.value <= again.high


@pytest.mark.parametrize(("size", "told"), [(1e-30, True), (1e-41, False)])
def test_weights_that_decayed_to_the_least_numbers_of_float32_say_nothing(size: float, told: bool):
    layer = subject_of(dense(256, 64, 10)).layers[0]
    first = np.random.default_rng(0).uniform(-1, 1, (64, 100)) / 16
    left = (first * size).astype(np.float32)  # 1e-41 is 7,000 times the least number
    found = list(first_weights(layer, left.astype(np.float64), "blobs", None))
    assert left.any()
    assert any(not one.missing for one in found) == told


def test_decay_within_adam_is_told_from_decay_beside_it():
    net = train(dense(256, 64, 10), BLOBS, "adam", lr=2e-4, decay=0.01, steps=200)
    found = by_claim(net)
    assert p_values(found["optimizer"])["adamw"] == 0.002
    assert p_values(found["optimizer"])["adam"] == 1
    assert "may have been deformed" in found["initialization"].missing
    assert "weight_decay" not in found


def test_a_penalty_of_sizes_contradicts_no_optimizer():
    """L1 in the loss deforms the first weights under SGD, as L2 does within an adaptive step."""
    net = dense(256, 64, 10)
    for parameter in net.parameters():
        parameter.register_hook(lambda g, p=parameter: g + 1e-3 * p.detach().sign())
    found = by_claim(train(net, BLOBS, "sgd", lr=0.1, steps=200))["optimizer"]
    assert "or under L1" in found.says
    assert p_values(found)["sgd"] == 0.002


def test_images_that_light_these_pixels_rule_out_the_set_only_if_its_images_were_not_moved():
    turned = blobs()
    turned.x_train[:] = np.roll(turned.x_train, (8, 8), (1, 2))
    net = train(dense(256, 64, 10), turned, "adam", lr=2e-3, steps=300)
    found = by_claim(net)["dataset"]
    by_name = {one.name: one.p_value for one in found.hypotheses}
    assert by_name["blobs, its images not moved"] < 1e-3
    assert p_values(found)["blobs"] == 1
    assert "the images are not those of blobs as they are" in found.says


def test_a_set_is_ruled_out_if_pixels_that_vary_in_it_did_not_move(monkeypatch):
    lit = fingerprint_of(np.random.default_rng(0).integers(0, 9, (99, 16, 16, 1)), "noise")
    monkeypatch.setattr("weightspace.evidence.inputs.known", lambda: (lit,))
    net = train(dense(256, 64, 10), BLOBS, "adam", lr=2e-3, steps=300)
    found = by_claim(net)["dataset"]
    assert p_values(found)["noise"] < 1e-6
    assert p_values(found)["blobs"] == 1
    assert "does not fit noise" in found.says


def test_a_net_that_was_not_trained_decides_nothing():
    found = by_claim(dense(256, 64, 10))
    assert p_values(found["dataset"])["blobs"] > 0.01
    assert found["inputs"].missing


def test_what_is_claimed_changes_nothing():
    net = train(dense(256, 64, 10), BLOBS, "adam", lr=2e-3, steps=100)
    claims = {"dataset": "mnist", "inputs": "standardized"}
    assert by_claim(net) == by_claim(net, Context(claims=claims, images=BLOBS))


def _pruned(net: nn.Sequential) -> None:
    net[0].weight[net[0].weight.abs() < 0.01] = 0


def _rounded(net: nn.Sequential) -> None:
    net[0].weight.copy_((net[0].weight * 100).round() / 100 + 0.001)


@pytest.mark.parametrize(
    ("sizes", "change", "reason"),
    [
        ((100, 8, 10), None, "no known data set has images of 10x10x1"),
        ((101, 8, 10), None, "101 inputs are not the pixels of a square image"),
        ((256, 8, 10), _pruned, "more than 1 % of the first layer's weights are exactly 0"),
        ((256, 64, 10), _rounded, "rounded to a few levels"),
    ],
)
def test_where_it_cannot_be_applied_it_says_why(
    sizes: tuple[int, ...], change: Callable[[nn.Sequential], None] | None, reason: str
):
    net = dense(*sizes)
    if change:
        with torch.no_grad():
            change(net)
    assert reason in by_claim(net)["dataset"].missing


def test_a_convolution_has_no_weights_of_single_pixels():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    assert "the first layer is a convolution" in by_claim(net)["dataset"].missing
    assert pixel_map(subject_of(net)) is None


def test_the_map_shows_the_frame_without_knowing_the_data_set():
    net = train(dense(256, 64, 10), BLOBS, "adam", lr=2e-3, steps=300)
    found = pixel_map(subject_of(net))
    assert found is not None
    inside = np.zeros((16, 16), bool)
    inside[4:12, 4:12] = True
    frame = DARK.reshape(16, 16).copy()
    frame[2:-2, 2:-2] = False  # those that touch no pixel inside
    assert found[inside].min() > 6 > np.abs(found[frame]).max()


def test_the_permutation_test_keeps_its_level():
    chosen = np.ones((6, 6, 1), bool)
    pairs = neighbours((6, 6, 1), chosen)
    rng = np.random.default_rng(0)
    found = np.array([exchangeable(rng.uniform(-1, 1, (16, 36)), pairs) for _ in range(300)])
    assert (found <= 0.05).mean() < 0.09
    assert (found <= 0.5).mean() == pytest.approx(0.5, abs=0.1)


def test_neighbours_touch_at_sides_and_corners():
    assert len(neighbours((3, 3, 1), np.ones((3, 3, 1), bool))) == 20
    assert len(neighbours((3, 3, 2), np.ones((3, 3, 2), bool))) == 40


def test_the_table_is_that_of_the_images():
    kept = {one.name: one for one in known()}
    assert int(kept["mnist"].constant.sum()) == 67
    images = published("mnist").x_train
    found = fingerprint_of(images, "mnist")
    np.testing.assert_array_equal(found.constant, kept["mnist"].constant)
    np.testing.assert_array_equal(found.share, kept["mnist"].share)


def test_a_fingerprint_can_be_added_and_read(tmp_path):
    path = tmp_path / "table.json"
    own = fingerprint_of(BLOBS.x_train, "blobs", "made up")
    add(fingerprint_of(BLOBS.x_train[:5], "blobs", "older"), path)
    add(own, path)
    table = json.loads(path.read_text())
    back = Fingerprint.from_dict("blobs", table["blobs"])
    assert (back.images, back.source) == (2_000, "made up")
    np.testing.assert_array_equal(back.share, own.share)
    np.testing.assert_array_equal(back.constant.ravel(), DARK)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_a_net_of_mnist_is_told_from_one_of_fashion_mnist(name: str):
    net = train(dense(784, 64, 10), published(name), "adam", lr=2e-3, steps=400)
    found = by_claim(net, Context())["dataset"]
    assert (p_values(found)["fashion_mnist"] < 1e-3) == (name == "mnist")
    by_name = {one.name: one.p_value for one in found.hypotheses}
    assert (by_name["mnist, its images not moved"] < 1e-3) == (name == "fashion_mnist")
    assert p_values(found)["mnist"] == 1
