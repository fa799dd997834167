"""The seed of a net's initial weights is found where it can be, and only there."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from support import seeded
from weightspace.evidence import Context, Subject
from weightspace.evidence.displacement import sum_change
from weightspace.evidence.draw_orders import orders
from weightspace.evidence.draws import Stream
from weightspace.evidence.matching import SURE
from weightspace.evidence.other_draws import redrawn
from weightspace.evidence.seed_search import Comb, search
from weightspace.evidence.seeds import known_initial_vector, seed_law
from weightspace.evidence.subject import Layer

KINDS = {"mlp": seeded.mlp, "lenet": seeded.lenet, "normed": seeded.normed}
CASES = [
    ("mlp", "sgd", 42), ("mlp", "adam", 0), ("lenet", "momentum", 1337), ("lenet", "adamw", 2023),
    ("normed", "sgd", 123456), ("normed", "adam", 3407),
]  # fmt: skip


def run(kind, optimizer, seed, steps=100):
    torch.manual_seed(seed)
    net = KINDS[kind]()
    return seeded.trained(net, seeded.OPTIMIZERS[optimizer](net.parameters()), steps)


def of(evidence, claim):
    return [one for one in evidence if one.claim == claim]


def subject_of(net):
    """The tensors of a chain of layers, as a subject."""
    tensors = {name: tensor.detach().float().numpy() for name, tensor in net.state_dict().items()}
    layers = tuple(
        Layer(place, name, values.shape, values.shape[1], values.shape[0], values.shape[2:],
              name.replace("weight", "bias") if name.replace("weight", "bias") in tensors else "")
        for place, (name, values) in enumerate(tensors.items())
        if name.endswith("weight") and values.ndim > 1
    )  # fmt: skip
    shapes = {name: values.shape for name, values in tensors.items()}
    return Subject(layers, lambda name, start, stop: tensors[name][start:stop], shapes)


@pytest.mark.parametrize(("kind", "optimizer", "seed"), CASES)
def test_a_popular_seed_is_found_and_makes_the_rest_exact(kind, optimizer, seed, tmp_path):
    evidence = seeded.judged(run(kind, optimizer, seed), tmp_path)
    (found,) = of(evidence, "seed")
    assert found.hypotheses[0].values == (seed,)
    assert found.hypotheses[0].p_value == 1
    assert seed not in found.hypotheses[1].values
    assert found.hypotheses[1].p_value < SURE
    (first,) = of(evidence, "initialization")
    assert first.hypotheses[0].values == ("torch_default",)
    (family,) = of(evidence, "optimizer")
    linear, adaptive, _ = family.hypotheses
    if optimizer in ("sgd", "momentum"):
        assert linear.p_value == 1
        assert adaptive.p_value < 1e-3
        (decay,) = of(evidence, "weight_decay")
        expected = -100 * math.log(1 - 0.05 * 0.002) if optimizer == "sgd" else 0.0
        assert decay.estimate.low <= expected <= decay.estimate.high
        assert decay.estimate.value == pytest.approx(expected, abs=1e-5)
        assert (decay.hypotheses[0].p_value < 1e-9) == (optimizer == "sgd")
    else:
        assert adaptive.p_value > 0.1
        assert linear.p_value < 0.01
        assert not of(evidence, "weight_decay")


@pytest.mark.parametrize("seed", [987654, 31337, 776655, 424242])
def test_a_seed_that_is_not_tried_gives_no_seed(seed, tmp_path):
    (only,) = seeded.judged(run("mlp", "momentum", seed, 60), tmp_path)
    assert only.claim == "seed"
    assert not only.hypotheses
    assert "none of" in only.says


def test_a_claimed_seed_is_tried_too_and_other_claims_change_nothing(tmp_path):
    net = run("mlp", "adam", 987654, 60)
    (found, *_) = seeded.judged(net, tmp_path, claims={"seed": 987654})
    assert found.hypotheses[0].values == (987654,)
    (only,) = seeded.judged(net, tmp_path, claims={"seed": 987655})
    assert not only.hypotheses


def test_a_claim_of_another_seed_is_unlikely_where_one_is_found(tmp_path):
    (found, *_) = seeded.judged(run("mlp", "adam", 7, 60), tmp_path, claims={"seed": 555_555})
    assert found.hypotheses[0].values == (7,)
    assert 555_555 in found.hypotheses[1].values


def test_seeds_that_give_one_stream_are_one(tmp_path):
    net = run("mlp", "adam", 42, 60)
    (found, *_) = seeded.judged(net, tmp_path, seeds=(42, 2**32 + 42, 5))
    assert found.hypotheses[0].values == (42,)
    assert found.hypotheses[1].values[0] == 5


def test_a_thousand_seeds_and_more_are_screened():
    torch.manual_seed(70_001)
    subject = subject_of(seeded.lenet())
    match = search(subject, range(69_000, 72_000), ())
    assert match.seed == 70_001
    assert match.p_value < SURE


def test_a_net_built_after_a_split_of_the_data_is_found(tmp_path):
    torch.manual_seed(42)
    torch.randperm(60_000)
    net = seeded.lenet()
    optimizer = seeded.OPTIMIZERS["momentum"](net.parameters())
    evidence = seeded.judged(seeded.trained(net, optimizer, 60), tmp_path)
    (found,) = of(evidence, "seed")
    assert found.hypotheses[0].values == (42,)
    assert "a random split of 60,000 images" in found.says
    assert of(evidence, "optimizer")[0].hypotheses[1].p_value < 1e-3


def test_layers_drawn_in_another_order_than_stored_are_located(tmp_path):
    torch.manual_seed(42)
    head, body = nn.Linear(64, 10), nn.Linear(64, 64)
    middle = nn.Linear(64, 64)
    net = nn.Sequential(nn.Flatten(), body, nn.ReLU(), middle, nn.ReLU(), head)
    first = {name: value.clone() for name, value in net.state_dict().items()}
    trained = seeded.trained(net, seeded.OPTIMIZERS["momentum"](net.parameters()), 60)
    subject = subject_of(trained)
    initial = known_initial_vector(subject, Context())
    assert set(initial.places) == set(first)
    for name, values in first.items():
        assert (initial.values(name) == values.numpy().reshape(-1)).all()


@pytest.mark.parametrize("draw", [nn.init.xavier_uniform_, nn.init.kaiming_normal_])
def test_kernels_drawn_anew_give_the_seed_and_the_distribution(draw, tmp_path):
    torch.manual_seed(42)
    net = seeded.lenet()
    for module in net.modules():
        if hasattr(module, "weight"):
            draw(module.weight)
            nn.init.zeros_(module.bias)
    evidence = seeded.judged(
        seeded.trained(net, seeded.OPTIMIZERS["momentum"](net.parameters()), 60), tmp_path
    )
    (found,) = of(evidence, "seed")
    assert found.hypotheses[0].values == (42,)
    (first,) = of(evidence, "initialization")
    (name,) = {"xavier_uniform_": ["glorot_uniform"], "kaiming_normal_": ["he_normal"]}[
        draw.__name__
    ]
    assert name in first.hypotheses[0].values
    assert "torch_default" in first.hypotheses[1].values
    assert not of(evidence, "optimizer")  # the scale of the first values is not known


def test_a_layer_that_was_never_trained_is_named(tmp_path):
    torch.manual_seed(1)
    net = seeded.mlp()
    net[1].requires_grad_(False)
    kept = [p for p in net.parameters() if p.requires_grad]
    evidence = seeded.judged(seeded.trained(net, seeded.OPTIMIZERS["adam"](kept), 60), tmp_path)
    still, moved = of(evidence, "displacement")
    assert still.where == "1.weight"
    assert "never trained" in still.says
    assert still.estimate.value == 0
    assert "never trained" not in moved.says
    assert moved.estimate.value > 0.01


def test_the_chance_of_a_wrong_seed_is_no_more_than_its_p_value():
    """Over 5,000 wrong seeds the share with a z-value beyond 3 is below its bound."""
    torch.manual_seed(10**9)
    net = seeded.mlp()
    subject = subject_of(seeded.trained(net, seeded.OPTIMIZERS["adam"](net.parameters()), 30))
    comb = Comb.of(subject, orders(subject)[0], 2**14)
    stream, scores = Stream(0), []
    for seed in range(5_000):
        stream.restart(seed)
        scores.append(comb.scores(stream.centred(len(comb.coefficients))))
    scores = np.array(scores)
    assert np.abs(scores.mean(0)).max() < 0.08
    assert scores.std(0) == pytest.approx(np.ones(scores.shape[1]), abs=0.06)
    for z in (2, 3):
        assert (scores > z).mean(0).max() <= math.exp(-(z**2) / 2)


def test_the_law_that_sums_keep_is_exact_in_float64_and_breaks_under_adam():
    drift = {}
    for name in ("sgd", "adam"):
        torch.manual_seed(0)
        net = seeded.mlp().double()
        first = net[3].weight.detach().numpy().copy()
        optimizer = seeded.OPTIMIZERS[name](net.parameters())
        change = sum_change(seeded.trained(net, optimizer, 200)[3].weight.detach().numpy(), first)
        drift[name] = change.drift
        if name == "sgd":
            assert change.slope == pytest.approx((1 - 0.05 * 0.002) ** 200, abs=1e-12)
    assert drift["sgd"] < 1e-12
    assert drift["adam"] > 0.1


def test_two_outputs_say_nothing_of_the_optimizer(tmp_path):
    """With two units the gradients are opposite, so that the sums stay under Adam as well."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2))
    x, y = seeded.digits()
    optimizer = torch.optim.Adam(net.parameters(), 0.003)
    first = net[3].weight.detach().numpy().copy()
    for start in range(0, 960, 32):
        optimizer.zero_grad()
        part = slice(start, start + 32)
        nn.functional.cross_entropy(net(x[part]), y[part] % 2).backward()
        optimizer.step()
    assert sum_change(net[3].weight.detach().numpy(), first).drift < 0.01
    evidence = seeded.judged(net, tmp_path)
    assert of(evidence, "seed")[0].hypotheses
    assert not of(evidence, "optimizer")


def test_a_net_of_few_weights_is_not_judged():
    subject = subject_of(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)))
    (only,) = seed_law(subject, Context())
    assert only.missing


def test_values_that_are_no_numbers_give_no_seed():
    net = seeded.mlp()
    with torch.no_grad():
        net[1].weight.fill_(math.nan)
        net[3].weight.fill_(math.inf)
    (only,) = seed_law(subject_of(net), Context())
    assert not only.hypotheses


def test_kernels_of_few_values_are_not_taken_to_be_drawn_anew():
    subject = subject_of(nn.Sequential(nn.Linear(40, 30), nn.Linear(30, 30), nn.Linear(5, 2)))
    assert redrawn(subject, orders(subject)[0], (0,)) is None


@pytest.mark.parametrize("change", ["bfloat16", "half pruned"])
def test_a_seed_is_found_after_rounding_and_pruning(change, tmp_path):
    net = run("lenet", "adam", 2024)
    with torch.no_grad():
        for values in net.parameters():
            if change == "bfloat16":
                values.copy_(values.bfloat16())
            else:
                values[values.abs() < values.abs().median()] = 0
    (found, *_) = seeded.judged(net, tmp_path)
    assert found.hypotheses[0].values == (2024,)


@pytest.mark.parametrize("change", ["half", "bfloat16", "pruned", "few levels"])
def test_sums_that_rounding_or_pruning_changed_contradict_no_optimizer(change, tmp_path):
    torch.manual_seed(42)
    net = seeded.mlp()
    seeded.trained(net, torch.optim.SGD(net.parameters(), 0.001), 20)  # it has hardly moved
    with torch.no_grad():
        kernel = net[3].weight
        if change == "pruned":
            kernel[kernel.abs() < kernel.abs().quantile(0.2)] = 0
        elif change == "few levels":
            kernel.copy_((kernel * 300).round() / 300)
        else:
            kernel.copy_(kernel.to(getattr(torch, change.replace("half", "float16"))))
    evidence = seeded.judged(net, tmp_path)
    assert of(evidence, "seed")[0].hypotheses
    assert all(one.hypotheses[0].p_value == 1 for one in of(evidence, "optimizer"))


def test_a_layer_stored_in_bfloat16_that_was_never_trained_is_named(tmp_path):
    torch.manual_seed(3)
    net = seeded.mlp().bfloat16()
    evidence = seeded.judged(net, tmp_path)
    assert len(of(evidence, "displacement")) == 2
    assert all("never trained" in one.says for one in of(evidence, "displacement"))
    assert not of(evidence, "optimizer")


def test_the_law_reads_a_part_of_a_large_net_alone():
    """A kernel of 4e9 values, of which rows are made when they are read."""
    shape = (2**20, 4096)
    read = []

    def rows(name, start, stop):
        read.append((stop - start) * 4096)
        return Stream(12).uniform((stop - start) * 4096, -1 / 64, 1 / 64).reshape(-1, 4096)

    layer = Layer(0, "weight", shape, 4096, 2**20, ())
    (found, *_) = seed_law(Subject((layer,), rows, {"weight": shape}), Context(seeds=(11, 12)))
    assert found.hypotheses[0].values == (12,)
    assert max(read) <= 2**20


def test_a_new_head_is_not_compared_with_the_old_one() -> None:
    """It learns to resemble the old one, whose features it sees, but keeps sums of its own."""
    rng = np.random.default_rng(0)
    old = rng.uniform(-1, 1, (10, 32))
    learned = 3 * (old - old.mean(0))
    change = sum_change(rng.uniform(-1, 1, (10, 32)) + learned, old)
    assert change.drift > 0.05
    assert change.slope < 3 * change.error
