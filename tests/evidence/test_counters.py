"""Counters of batch norms: every training that gives a count, and claims against it."""

import itertools

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from support.norm_nets import digits, opened, p_value
from weightspace.evidence import Context, Subject
from weightspace.evidence.counters import counter_law
from weightspace.evidence.counting import Judged, judge
from weightspace.evidence.fits import batch_sizes_that_fit, batches_of, fits, images_that_fit


def subject(**counters):
    return Subject((), lambda *_: None, {}, counters)


def loop(images, batch_size, epochs, drop_last, tested=None):
    """A plain training loop; `tested` is the mode in which 100 other images are passed."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))
    x, y = digits(images + 100)
    loader = DataLoader(
        TensorDataset(x[:images], y[:images]), batch_size, shuffle=True, drop_last=drop_last
    )
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(epochs):
        net.train()
        for pixels, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(pixels), labels).backward()
            optimizer.step()
        net.train(tested == "train")
        if tested:
            for pixels in x[images:].split(batch_size):
                net(pixels)
    return net


@pytest.mark.parametrize(
    ("images", "size", "epochs", "dropped", "tested"),
    [(500, 32, 3, False, "eval"), (500, 32, 4, True, None), (512, 64, 5, False, "eval")],
)
def test_the_training_is_among_the_fits_of_a_real_counter(
    images, size, epochs, dropped, tested, tmp_path
):
    net = loop(images, size, epochs, dropped, tested)
    claims = {"epochs": epochs, "batch_size": size, "train_images": images}
    with opened(net.state_dict(), tmp_path) as (found, _):
        steps = epochs * batches_of(images, size, dropped)[0]
        assert dict(found.counters) == {"1": steps}
        evidence = list(counter_law(found, Context(claims=claims)))
    assert evidence[0].estimate.low == evidence[0].estimate.high == steps
    assert p_value(evidence, "epochs", epochs) == 1.0
    assert judge(steps, claims | {"drop_last": dropped}).verdict == "consistent"
    opposite = judge(steps, claims | {"drop_last": not dropped}).verdict
    assert (opposite == "consistent") == (images % size == 0)


def test_passes_beside_the_training_are_named_where_they_explain_the_count():
    def says(steps):
        return next(counter_law(subject(norm=steps), Context())).says

    assert "as many as a training of 10 epochs of 60,000 images in batches of 64; " in says(9380)
    assert says(9382).endswith(
        "gives; 9,380 are as many as 10 epochs of 60,000 images in batches of 64"
    )
    for steps in (9437, 9467):  # 9,434 are 89 epochs of 54,000 images in batches of 512
        assert says(steps).endswith("gives")


def test_a_number_that_no_training_has_is_not_factorised():
    assert judge(2**40, {"batch_size": 64, "train_images": 60_000}) == Judged("undecidable")


def test_fits_are_all_that_give_the_count_and_no_others():
    """By trying every combination."""
    images, sizes, epochs = range(20, 60), range(3, 20), range(1, 30)
    for steps in (7, 24, 60):
        found = {(f.images, f.batch_size, f.epochs, f.drop_last)
                 for f in fits(steps, images, sizes, epochs)}  # fmt: skip
        expected = set()
        for n, b, e in itertools.product(images, sizes, epochs):
            if n % b == 0:
                expected |= {(n, b, e, None)} if e * (n // b) == steps else set()
                continue
            expected |= {(n, b, e, True)} if e * (n // b) == steps else set()
            expected |= {(n, b, e, False)} if e * (n // b + 1) == steps else set()
        assert found == expected


def test_ranges_hold_all_that_fit_and_no_others():
    for batches, size, dropped in itertools.product((1, 3, 8), (1, 4, 10), (None, True, False)):
        ranges = images_that_fit(2 * batches, size, 2, dropped)
        within = {n for one in ranges for n in range(one.low, one.high + 1)}
        assert within == {n for n in range(1, 200) if batches in batches_of(n, size, dropped)}
    for batches, number, dropped in itertools.product((1, 3, 8), (8, 30), (None, True, False)):
        ranges = batch_sizes_that_fit(batches, number, dropped)
        within = {b for low, high in ranges for b in range(low, min(high, 98) + 1)}
        assert within == {b for b in range(1, 99) if batches in batches_of(number, b, dropped)}


def test_what_is_contradicted_has_no_training():
    """No number of images up to the data set's, and no batch size, gives the claimed epochs."""
    for steps in range(1, 400, 7):
        for epochs in (2, 7, 30):
            claims = {"epochs": epochs, "train_images": 50}
            if judge(steps, claims).verdict == "contradicted":
                assert not any(
                    epochs * count == steps
                    for size in range(1, 60)
                    for count in batches_of(50, size, None)
                )


@pytest.mark.parametrize(
    ("steps", "claims", "verdict"),
    [
        (9380, {"epochs": 10, "batch_size": 64}, "consistent"),
        (9380, {"epochs": 10, "batch_size": 64, "dataset": "mnist"}, "consistent"),
        (9380, {"steps": 9380}, "consistent"),
        (9380, {"epochs": 10, "batch_size": 32}, "undecidable"),  # 30,000 images
        (9380, {"dataset": "mnist"}, "undecidable"),
        (9380, {"optimizer": "sgd"}, "undecidable"),
        (9380, {"epochs": 7, "batch_size": 64, "dataset": "mnist"}, "contradicted"),
        (9380, {"epochs": 11, "checkpoint": "last"}, "contradicted"),
        (9380, {"epochs": 11, "checkpoint": "best"}, "undecidable"),
        (9380, {"epochs": 11}, "undecidable"),
        (9380, {"steps": 9000}, "contradicted"),
        (9380, {"steps": 20_000}, "undecidable"),
        (9380, {"steps": 20_000, "checkpoint": "last"}, "contradicted"),
        (6566, {"epochs": 10, "batch_size": 64, "dataset": "mnist"}, "undecidable"),
        (6500, {"epochs": 10, "batch_size": 64, "train_images": 60_000}, "contradicted"),
        (24_000, {"epochs": 10, "batch_size": 64, "dataset": "mnist"}, "contradicted"),
        (3990, {"epochs": 10, "batch_size": 64, "train_images": 10_000}, "contradicted"),
    ],
)
def test_verdicts(steps, claims, verdict):
    assert judge(steps, claims).verdict == verdict


def test_a_contradiction_names_the_fewest_claims_and_what_fits_instead():
    claims = {"epochs": 10, "batch_size": 64, "dataset": "mnist", "checkpoint": "last"}
    found = judge(6566, claims)
    assert found.conflict == ("epochs",)
    assert found.instead[0].epochs == 7
    evidence = list(counter_law(subject(bn=6566), Context(claims=claims)))
    (against,) = [one for one in evidence if one.claim == "epochs" and one.p_value == 0]
    assert against.says == (
        "no training with epochs 10 has 6,566 batches; 7 epochs of 60,000 images in batches of 64 "
        "would"
    )


def test_claims_that_clash_only_together_contradict_none_alone():
    claims = {"epochs": 7, "batch_size": 64, "dataset": "mnist"}
    evidence = list(counter_law(subject(bn=9380), Context(claims=claims)))
    told = [one for one in evidence if one.says.startswith("no training with")]
    assert [one.claim for one in told] == ["epochs", "batch_size", "dataset"]
    assert all(not one.hypotheses for one in told)


@pytest.mark.parametrize(
    ("steps", "claims", "excuse"),
    [
        (9381, {"epochs": 10, "batch_size": 64, "dataset": "mnist"}, "1 of the passes"),
        (9380, {"epochs": 20, "batch_size": 64, "train_images": 60_000}, "2 processes"),
        (9380, {"epochs": 10, "batch_size": 128, "train_images": 60_000}, "2 forward passes"),
        (54_750, {"epochs": 50, "batch_size": 64, "dataset": "mnist"}, "never have been in eval"),
        (6566, {"epochs": 10, "batch_size": 64, "dataset": "mnist"}, "of epoch 7 of 10"),
        (6000, {"steps": 9380, "epochs": 10, "dataset": "mnist"}, "of step 6,000 of 9,380"),
        (
            3990,
            {"epochs": 10, "batch_size": 64, "train_images": 10_000, "augmentation": True},
            "augmented images may have been added",
        ),
    ],
)
def test_what_has_an_excuse_is_undecidable(steps, claims, excuse):
    found = judge(steps, claims)
    assert found.verdict == "undecidable"
    assert any(excuse in one for one in found.excuses)


def test_excuses_of_many_passes_can_be_ruled_out():
    claims = {"epochs": 20, "batch_size": 64, "train_images": 60_000, "checkpoint": "last"}
    assert judge(9380, claims, plain=True).verdict == "contradicted"


def test_the_counter_of_a_pretrained_net_contradicts_only_more_steps():
    claims = {"epochs": 10, "batch_size": 64, "train_images": 60_000}
    for steps, verdict in ((100_001, "undecidable"), (5003, "contradicted")):
        assert judge(steps, claims, pretrained=True).verdict == verdict
        assert judge(steps, claims | {"pretrained_from": "resnet18"}).verdict == verdict
        assert judge(steps, claims | {"pretrained_from": "none"}).verdict == "contradicted"


def test_a_net_that_was_never_in_eval_mode_is_found(tmp_path):
    net = loop(400, 32, 2, False, tested="train")
    with opened(net.state_dict(), tmp_path) as (found, _):
        assert found.counters["1"] == 2 * (13 + 4)
    claims = {"epochs": 2, "batch_size": 32, "train_images": 400}
    assert "4 batches of an epoch may be test batches" in judge(34, claims).excuses[0]
    assert judge(2 * 30, claims, plain=True).verdict == "contradicted"
    (told,) = [e for e in counter_law(subject(bn=54_750), Context()) if e.claim == "batch_norm"]
    assert "50 epochs of 60,000 images in batches of 64" in told.says


@pytest.mark.parametrize("steps", [938 * 10, 391 * 196, 782 * 7])
def test_a_usual_training_is_not_said_to_be_tested_in_training_mode(steps):
    told = list(counter_law(subject(bn=steps), Context()))
    assert not [one for one in told if one.claim == "batch_norm"]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((9380, 9380, 18_760), "used 2 times in each step"),
        ((9380, 9380, 0), "never in training mode"),
        ((9380, 9380, 2814), "in eval mode for a part"),
    ],
)
def test_counters_that_differ_are_a_finding(counts, words):
    told = list(counter_law(subject(a=counts[0], b=counts[1], c=counts[2]), Context()))
    assert words in told[0].says
    assert told[0].where == "c"
    assert told[1].estimate.value == 9380


@pytest.mark.parametrize("counters", [{}, {"a": 0}, {"a": 5, "b": 7}])
def test_without_a_count_there_is_no_evidence(counters):
    told = list(counter_law(subject(**counters), Context()))
    assert [one.missing != "" for one in told if one.claim == "steps"] == [True]
    assert any("counted 0 batches" in one.says for one in told if not one.missing) == (
        counters == {"a": 0}
    )


@pytest.mark.parametrize(
    ("steps", "claims"),
    [
        (75_000, {"batch_size": 256, "epochs": 10, "train_images": 60_000}),  # 32 batches of 8
        (300, {"batch_size": 64, "epochs": 10, "train_images": 60_000}),  # 32 processes
        (9_380 * 41, {"batch_size": 64, "epochs": 10, "train_images": 60_000}),  # 40 attacks a step
        (1_000, {"steps": 1_000, "batch_size": 64, "train_images": 60_000}),  # not whole epochs
        (1_000, {"steps": 1_000, "batch_size": 64, "train_images": 60_000, "epochs": 2}),
        (1_000, {"batch_size": 64, "train_images": 60_000}),
        (938, {"batch_size": 64, "epochs": 10, "train_images": 60_000}),  # `update_bn`
    ],
)
def test_usual_trainings_of_another_count_are_not_contradicted(steps: int, claims: dict) -> None:
    assert judge(steps, claims, Context()).verdict != "contradicted"
