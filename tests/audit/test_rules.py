"""What follows from several claims and evidence together."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from support import seeded
from weightspace.audit import audit
from weightspace.audit.claims import Claim, Claims
from weightspace.audit.findings import said
from weightspace.audit.rules import derived_from
from weightspace.audit.rules.counting import JOINT
from weightspace.audit.tempering import of_steps, of_this_training
from weightspace.audit.verdicts import judged
from weightspace.evidence import Context, Estimate, Evidence, Hypothesis
from weightspace.evidence.beside import STATES
from weightspace.evidence.counters import LAW as COUNTERS
from weightspace.evidence.losses import AS_BEGUN, FROM_ZERO, families
from weightspace.evidence.shrinkage import PRODUCT, PRODUCT_OF_NORMED


def product(
    value: float, low: float, high: float, *hypotheses: Hypothesis, name: str = PRODUCT,
    law: str = "initial weights by seed",
):  # fmt: skip
    return Evidence(law, "weight_decay", "the sums have shrunk", "fc.weight", 1.0,
                    hypotheses, Estimate(name, value, low, high))  # fmt: skip


def counted(steps: int) -> Evidence:
    estimate = Estimate("steps", steps, steps, steps)
    hypotheses = (Hypothesis((steps,), 1.0),)
    return Evidence(COUNTERS, "steps", "counted", "", float(steps), hypotheses, estimate)


def verdicts(claims: dict, *evidence: Evidence) -> dict[str, tuple[str, tuple[str, ...]]]:
    asked = Claims.of(claims)
    context = Context(claims=dict(asked.values))
    measured = tuple(of_this_training(evidence, asked))
    derived = derived_from(asked, measured, context)
    usable = tuple(of_steps(measured, asked, context))
    found = [judged(claim, asked, usable, derived) for claim in asked]
    joint = [one for one in derived if one.evidence.claim == JOINT]
    if joint:
        found.append(
            judged(Claim(JOINT, joint[0].evidence.hypotheses[0].values[0]), asked, (), joint)
        )
    return {one.claim.name: (one.verdict, one.given) for one in found}


SGD = {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.01, "steps": 5000,
       "schedule": "constant", "checkpoint": "last"}  # fmt: skip
GIVEN = ("learning_rate", "momentum", "steps", "checkpoint", "schedule")


@pytest.mark.parametrize(
    ("decay", "word", "given"),
    [
        (5e-4, "consistent", GIVEN),  # 5e-4 x 0.01 x 5000 / 0.1 = 0.25
        (5e-5, "contradicted", GIVEN),
        (5e-3, "contradicted", GIVEN),
        (0, "contradicted", ()),
    ],
)
def test_a_product_that_is_known_well(decay, word, given):
    found = verdicts({"weight_decay": decay, **SGD}, product(0.25, 0.2, 0.3))
    assert found["weight_decay"] == (word, given)


@pytest.mark.parametrize("epochs", [{}, {"epochs": 20}])
def test_a_file_may_be_of_an_earlier_epoch_than_the_card_says(epochs):
    """The best epoch's file has decayed less; nothing counts its steps."""
    claims = {"weight_decay": 5e-4, **SGD, **epochs}
    best = product(0.1, 0.099, 0.101)  # after two fifths of the steps
    assert verdicts(claims, best)["weight_decay"][0] == "contradicted"
    del claims["checkpoint"]
    assert verdicts(claims, best)["weight_decay"][0] == "consistent"
    too_early = product(0.005, 0.0049, 0.0051)
    assert verdicts(claims, too_early)["weight_decay"][0] == "contradicted"
    too_far = product(0.5, 0.49, 0.51)
    assert verdicts(claims, too_far)["weight_decay"][0] == "contradicted"


@pytest.mark.parametrize(
    "law", ["column sums", "still directions", "inputs that never vary", "unused rows"]
)
def test_a_scale_of_first_weights_that_is_not_listed_looks_as_decay(law):
    """Only torch's default has one scale; who draws 0.001 x normal numbers needs no decay."""
    shrunk = product(3.0, 2.9, 3.1, law=law)
    for decay in (0, 5e-3):
        assert verdicts({"weight_decay": decay, **SGD}, shrunk)["weight_decay"][0] == "undecidable"
        claims = {"weight_decay": decay, **SGD, "initialization": "glorot_uniform"}
        assert verdicts(claims, shrunk)["weight_decay"][0] == "undecidable"
    claims = {"weight_decay": 0, **SGD, "initialization": "torch_default"}
    assert verdicts(claims, shrunk)["weight_decay"] == ("contradicted", ("initialization",))


def test_a_product_without_a_claim_of_the_schedule_leaves_a_factor():
    claims = {"weight_decay": 5e-3, **SGD}
    del claims["schedule"]
    assert verdicts(claims, product(0.25, 0.2, 0.3))["weight_decay"][0] != "contradicted"
    claims["weight_decay"] = 1e-6  # no schedule raises the rate 250-fold
    assert verdicts(claims, product(0.25, 0.2, 0.3))["weight_decay"][0] == "contradicted"
    claims["weight_decay"] = 0.5  # none lowers its mean to a thousandth
    assert verdicts(claims, product(0.25, 0.2, 0.3))["weight_decay"][0] == "contradicted"


@pytest.mark.parametrize("missing", ["learning_rate", "steps"])
def test_a_product_needs_the_rate_and_the_steps(missing):
    claims = {"weight_decay": 5e-2, **SGD}
    del claims[missing]
    assert verdicts(claims, product(0.25, 0.2, 0.3))["weight_decay"][0] == "undecidable"


def test_a_product_is_that_of_optimizers_that_are_linear():
    claims = {"weight_decay": 5e-2, **SGD, "optimizer": "adamw"}
    assert verdicts(claims, product(0.25, 0.2, 0.3))["weight_decay"][0] == "undecidable"


def test_no_weight_decay_agrees_with_a_product_near_none():
    found = verdicts({"weight_decay": 0, **SGD}, product(0.0, -0.01, 0.01))
    assert found["weight_decay"] == ("consistent", GIVEN)
    claims = {"weight_decay": 0, "optimizer": "sgd"}
    assert verdicts(claims, product(0.0, -0.01, 0.01))["weight_decay"][0] == "undecidable"


def test_a_law_that_trusts_itself_little_is_not_trusted_more():
    """Its own p-value of no weight decay counts, and no interval gives a smaller one."""
    unsure = product(0.25, 0.24, 0.26, Hypothesis((0.0,), 5e-4), name=PRODUCT_OF_NORMED)
    for decay in (0, 5e-3, 5e-5):
        assert verdicts({"weight_decay": decay, **SGD}, unsure)["weight_decay"][0] == "undecidable"
    none = product(1e-7, 0.0, 1e-6, Hypothesis((0.0,), 0.6))  # the law has no doubt that it is 0
    assert verdicts({"weight_decay": 5e-3, **SGD}, none)["weight_decay"][0] == "contradicted"
    assert verdicts({"weight_decay": 0, **SGD}, none)["weight_decay"][0] == "consistent"
    cut = product(0.0, 0.0, 0.0)
    assert verdicts({"weight_decay": 5e-3, **SGD}, cut)["weight_decay"][0] == "undecidable"
    silent = product(0.25, 0.24, 0.26, name=PRODUCT_OF_NORMED)
    assert verdicts({"weight_decay": 5e-3, **SGD}, silent)["weight_decay"][0] == "undecidable"
    bound = product(0.25, 0.25, math.inf, Hypothesis((0.0,), 1e-6), name=PRODUCT_OF_NORMED)
    assert verdicts({"weight_decay": 0, **SGD}, bound)["weight_decay"][0] == "contradicted"
    assert verdicts({"weight_decay": 0.1, **SGD}, bound)["weight_decay"][0] == "consistent"


@pytest.mark.parametrize("claimed", [{"gradient_accumulation": 4}, {"steps": 5000}])
def test_passes_that_a_step_gathers_do_not_decay(claimed):
    """Of 20,000 passes that were counted, every fourth made a step."""
    claims = {"weight_decay": 5e-4, **SGD, **claimed}
    if "gradient_accumulation" in claimed:
        del claims["steps"]
    found = verdicts(claims, product(0.25, 0.2, 0.3), counted(20_000))
    assert found["weight_decay"][0] != "contradicted"


def test_steps_follow_from_epochs_batch_size_and_images():
    claims = {"weight_decay": 5e-4, "optimizer": "momentum", "momentum": 0.9,
              "learning_rate": 0.01, "schedule": "constant", "epochs": 5, "batch_size": 60,
              "train_images": 60_000}  # fmt: skip
    found = verdicts(claims, product(0.25, 0.2, 0.3))
    assert found["weight_decay"][0] == "consistent"
    assert found["weight_decay"][1][-4:] == ("epochs", "batch_size", "train_images", "schedule")
    claims |= {"epochs": 100, "checkpoint": "last"}
    assert verdicts(claims, product(0.25, 0.2, 0.3))["weight_decay"][0] == "contradicted"


STRONG = {"learning_rate": 0.05, "weight_decay": 0.05, "steps": 300, "schedule": "constant"}


@pytest.mark.parametrize("optimizer", ["momentum", "nesterov"])
def test_a_decay_that_is_strong_for_its_momentum(optimizer, tmp_path):
    """The product is 7.5. Weights shrink by e^11.3 or e^10.5."""
    torch.manual_seed(42)
    net = seeded.mlp()
    options = {"lr": 0.05, "momentum": 0.9, "nesterov": optimizer == "nesterov"}
    seeded.trained(net, torch.optim.SGD(net.parameters(), weight_decay=0.05, **options), 300)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    claims = {**STRONG, "optimizer": optimizer, "momentum": 0.9}
    found = {one.claim.name: one for one in audit(tmp_path / "net.pt", claims).verdicts}
    assert found["weight_decay"].verdict == "consistent"
    weaker = audit(tmp_path / "net.pt", {**claims, "weight_decay": 0.01})
    assert [one.claim.name for one in weaker.contradicted] == ["weight_decay"]


def test_a_decay_that_makes_weights_swing_contradicts_nothing():
    claims = {**STRONG, "optimizer": "sgd", "momentum": 0.99}
    found = verdicts(claims, product(2.0, 1.9, 2.1))
    assert found["weight_decay"][0] != "contradicted"
    stronger = {**claims, "weight_decay": 1, "steps": 30_000}  # no size that they swing is so large
    assert verdicts(stronger, product(2.0, 1.9, 2.1))["weight_decay"][0] == "contradicted"


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "linear", "exponential"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [1e-3, 0.05])
def test_every_schedule_shrinks_weights_within_what_is_expected(
    schedule, momentum, nesterov, decay
):
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    options = {"momentum": momentum, "nesterov": nesterov and momentum > 0}
    optimizer = torch.optim.SGD([weight], lr=0.05, weight_decay=decay, **options)
    share = {
        "constant": lambda step: 1.0,
        "cosine": lambda step: (1 + math.cos(math.pi * step / 300)) / 2,
        "step": lambda step: 0.1 ** (step // 100),
        "linear": lambda step: 1 - step / 300,
        "exponential": lambda step: 0.99**step,
    }[schedule]
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    for _ in range(300):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
        rates.step()
    claims = {**STRONG, "momentum": momentum, "schedule": schedule, "weight_decay": decay}
    measured = -math.log(weight.item())
    found = verdicts(claims, product(measured, measured * 0.9999, measured * 1.0001))
    assert found["weight_decay"][0] == "consistent"


MNIST = {"dataset": "mnist", "batch_size": 64, "epochs": 10}


def test_a_counter_that_fits_all_claims():
    found = verdicts(MNIST, counted(9380))
    assert found["epochs"] == ("consistent", ("batch_size", "dataset"))
    assert found["batch_size"] == ("consistent", ("epochs", "dataset"))
    assert found["dataset"][0] == "undecidable"


@pytest.fixture(scope="module")
def optimized(tmp_path_factory):
    """A net without batch norm beside its optimizer: 2 epochs of 448 images in batches of 64."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(20, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    optimizer = torch.optim.Adam(net.parameters())
    x, y = torch.randn(448, 20), torch.randint(0, 4, (448,))
    for _ in range(2):
        for rows in torch.randperm(448).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    file = tmp_path_factory.mktemp("optimized") / "net.pt"
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, file)
    return file


def test_steps_of_an_optimizer_agree_with_claims_that_give_them(optimized):
    card = {"epochs": 2, "batch_size": 64, "train_images": 448}
    found = {one.claim.name: one.verdict for one in audit(optimized, card).verdicts}
    assert found == dict.fromkeys(card, "consistent")


@pytest.mark.parametrize(
    "card",
    [
        {"epochs": 4, "batch_size": 64, "train_images": 448, "steps": 28},  # its optimizer was new
        {"epochs": 2, "batch_size": 16, "train_images": 448, "gradient_accumulation": 4},
        {"epochs": 2, "batch_size": 16, "train_images": 112, "gradient_accumulation": 4},
        {"epochs": 1, "batch_size": 64, "train_images": 448},  # after a search for a learning rate
        {"epochs": 2, "batch_size": 64, "train_images": 112},  # of which each was drawn four times
        {"epochs": 3, "batch_size": 64, "train_images": 448, "checkpoint": "best"},
        {"epochs": 2, "batch_size": 128, "train_images": 448, "checkpoint": "last"},  # two a batch
    ],
)
def test_steps_of_an_optimizer_contradict_no_other_loop(card, optimized):
    found = audit(optimized, card)
    assert not found.contradicted
    assert "consistent" not in {one.verdict for one in found.verdicts if one.claim.name == "epochs"}


def test_strong_evidence_comes_first_and_weak_is_left_out_beside_it():
    strong, weak = ("exact", 1e-9), ("vague", 0.4)
    told = []
    for says, p in (weak, strong):
        answers = (Hypothesis(("sgd",), 1.0), Hypothesis(("adam",), p))
        told.append(Evidence("law", "optimizer", says, hypotheses=answers))
    assert [one.text for one in said(told)] == ["sgd, not adam: exact"]


def test_fewer_steps_than_an_optimizer_has_taken_are_contradicted(optimized):
    assert [one.verdict for one in audit(optimized, {"steps": 13}).verdicts] == ["contradicted"]
    assert [one.verdict for one in audit(optimized, {"steps": 14}).verdicts] == ["consistent"]
    assert [one.verdict for one in audit(optimized, {"steps": 99}).verdicts] == ["undecidable"]


def test_claims_that_a_counter_contradicts_together():
    found = verdicts({**MNIST, "epochs": 4}, counted(9380))
    assert found[JOINT][0] == "contradicted"
    assert "epochs" in found[JOINT][1]
    assert found["batch_size"][0] != "contradicted"


def test_the_counter_of_a_net_that_was_trained_further_counts_more():
    claims = {**MNIST, "epochs": 11, "steps": 200, "pretrained_from": "resnet18"}
    found = verdicts(claims, counted(9380))
    assert {word for word, _ in found.values()} == {"undecidable"}
    assert verdicts({"steps": 200}, counted(9381))["steps"][0] == "contradicted"


def test_laws_speak_of_all_training_since_the_first_weights():
    families = (Hypothesis(("sgd",), 1.0), Hypothesis(("adam",), 0.0))
    law = Evidence("column sums", "optimizer", "linear", hypotheses=families)
    state = Evidence(STATES, "optimizer", "the state of SGD", hypotheses=families)
    assert verdicts({"optimizer": "adam"}, law)["optimizer"][0] == "contradicted"
    further = {"optimizer": "adam", "pretrained_from": "resnet18"}
    assert verdicts(further, law)["optimizer"][0] == "undecidable"
    assert verdicts(further, law, state)["optimizer"][0] == "contradicted"
    decayed = {"weight_decay": 5e-3, **SGD, "pretrained_from": "resnet18"}
    assert verdicts(decayed, product(0.25, 0.2, 0.3))["weight_decay"][0] == "undecidable"


def test_a_step_may_have_several_passes():
    assert verdicts({"steps": 4690}, counted(9380))["steps"][0] == "undecidable"
    assert verdicts({"steps": 9380}, counted(9380))["steps"][0] == "consistent"


SOFTMAX = {"loss": "cross_entropy", "output_activation": "none", "gradient_clipping": 0}


def sums(linear: float, adaptive: float) -> Evidence:
    hypotheses = families(linear, adaptive, ("adam", "adamw"))
    return Evidence("column sums", "optimizer", "sums changed", hypotheses=hypotheses)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({}, "contradicted"),
        ({"output_activation": "log_softmax"}, "contradicted"),
        ({"gradient_clipping": 1.0, "gradient_clipping_by": "norm"}, "contradicted"),
        ({"gradient_clipping": 1.0}, "undecidable"),
        ({"gradient_clipping": 1.0, "gradient_clipping_by": "value"}, "undecidable"),
        ({"gradient_clipping": None}, "undecidable"),
        ({"output_activation": "relu"}, "undecidable"),
        ({"output_activation": None}, "undecidable"),
        ({"loss": "mse"}, "undecidable"),
        ({"loss": None}, "undecidable"),
    ],
)
def test_sums_contradict_sgd_only_if_all_is_said_that_keeps_them(more, word):
    claims = {"optimizer": "sgd", **SOFTMAX, **more}
    said = {name: value for name, value in claims.items() if value is not None}
    found = verdicts(said, sums(1e-20, 1.0))["optimizer"]
    assert found[0] == word
    if word == "contradicted":
        assert set(found[1]) >= {"loss", "output_activation"}


@pytest.mark.parametrize(
    ("more", "given"),
    [
        ({"bias_initialization": "zeros"}, "bias_initialization"),
        ({"initialization": "he_normal"}, "initialization"),
        ({"bias_initialization": "torch_default"}, None),
        ({"bias_initialization": "zeros", "output_activation": "relu"}, None),
    ],
)
def test_sums_say_more_of_the_optimizer_if_the_start_is_claimed(more, given):
    start = FROM_ZERO if "bias_initialization" in more else AS_BEGUN
    one = sums(0.5, 1.0)
    one = replace(one, hypotheses=(*one.hypotheses, Hypothesis((), 1e-6, start)))
    found = verdicts({"optimizer": "sgd", **SOFTMAX, **more}, one)["optimizer"]
    assert found[0] == ("contradicted" if given else "undecidable")
    assert given is None or given in found[1]
    assert verdicts({"optimizer": "sgd", **SOFTMAX}, one)["optimizer"][0] == "undecidable"
    if "output_activation" not in more:
        found = verdicts({"optimizer": "adam", "loss": "cross_entropy", **more}, one)["optimizer"]
        assert found[0] == ("consistent" if given else "undecidable")


def test_an_adaptive_optimizer_agrees_with_sums_that_changed():
    found = verdicts({"optimizer": "adam", "loss": "cross_entropy"}, sums(1e-20, 1.0))
    assert found["optimizer"] == ("consistent", ("loss",))
    other = {"optimizer": "adam", "loss": "cross_entropy", "output_activation": "sigmoid"}
    assert verdicts(other, sums(1e-20, 1.0))["optimizer"][0] == "undecidable"
    assert verdicts({"optimizer": "adam"}, sums(1e-20, 1.0))["optimizer"][0] == "undecidable"


def test_sums_that_were_kept_tell_sgd_whatever_is_said():
    assert verdicts({"optimizer": "sgd"}, sums(0.5, 1e-9))["optimizer"][0] == "consistent"
    assert verdicts({"optimizer": "adam"}, sums(0.5, 1e-9))["optimizer"][0] == "contradicted"
    nearly_linear = {"optimizer": "adam", "epsilon": 1.0}
    assert verdicts(nearly_linear, sums(0.5, 1e-9))["optimizer"][0] == "undecidable"


def test_what_other_claims_make_sharper_counts_once():
    for claims in ({"optimizer": "sgd"}, {"optimizer": "sgd", **SOFTMAX}):
        assert verdicts(claims, sums(0.5, 6e-5))["optimizer"][0] == "consistent"
        twice = (sums(0.5, 6e-5), replace(sums(0.5, 1.0), law="another law"))
        assert verdicts(claims, *twice)["optimizer"][0] == "undecidable"


def plainly(x):
    return x


@pytest.mark.parametrize("head", ["relu", "sigmoid", "tanh", "clipped", "none"])
def test_true_claims_of_what_changes_the_sums_are_not_contradicted(head, tmp_path):
    """SGD with cross entropy, where something stands on the outputs that the card leaves out."""
    torch.manual_seed(42)
    net = seeded.mlp()
    on = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}.get(head, plainly)
    trained = torch.nn.Sequential(net, Applied(on))
    if head == "clipped":
        for parameter in net.parameters():
            parameter.register_hook(lambda g: g.clamp(-1e-3, 1e-3))
    seeded.trained(trained, torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9), 400)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    claims = {"optimizer": "sgd", "loss": "cross_entropy"}
    (found, _) = audit(tmp_path / "net.pt", claims).verdicts
    assert found.verdict == ("consistent" if head == "none" else "undecidable")
    told = audit(tmp_path / "net.pt", {**claims, **SOFTMAX}).verdicts[0]
    # Behind a ReLU the sums change, but hardly with what was learned.
    expected = {"none": "consistent", "relu": "undecidable"}.get(head, "contradicted")
    assert told.verdict == expected


class Applied(torch.nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)
