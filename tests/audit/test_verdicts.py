"""The rule of verdicts, with evidence made by hand."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
from scipy import stats

from weightspace.audit.claims import Claims
from weightspace.audit.findings import said
from weightspace.audit.numbers import p_of
from weightspace.audit.verdicts import LEVEL, Derived, judged
from weightspace.evidence import Estimate, Evidence, Hypothesis

LINEAR, ADAPTIVE = ("sgd", "momentum", "nesterov"), ("adam", "adamw", "rmsprop")


def optimizers(linear: float, adaptive: float, law: str = "column sums") -> Evidence:
    hypotheses = (Hypothesis(LINEAR, linear, "linear"), Hypothesis(ADAPTIVE, adaptive, "adaptive"))
    return Evidence(law, "optimizer", f"{law} say so", "fc.weight", 1.0, hypotheses)


def measured(claim: str, value: float, low: float, high: float, name: str = "") -> Evidence:
    return Evidence("a law", claim, "measured", estimate=Estimate(name or claim, value, low, high))


def verdict_on(claims: dict, *evidence: Evidence, derived: tuple[Derived, ...] = ()):
    """The verdict on the first claim."""
    asked = Claims.of(claims)
    return judged(asked.claims[0], asked, evidence, derived)


def test_a_claim_is_contradicted_below_the_level_and_not_above():
    for p_value, word in (
        (LEVEL * 0.99, "contradicted"),
        (LEVEL, "undecidable"),
        (0.5, "undecidable"),
    ):
        found = verdict_on({"optimizer": "adam"}, optimizers(0.3, p_value))
        assert found.verdict == word
        assert found.p_value == p_value


def test_a_claim_is_consistent_only_if_a_rival_is_ruled_out():
    found = verdict_on({"optimizer": "adam"}, optimizers(1e-9, 0.2))
    assert (found.verdict, found.strength) == ("consistent", "very strong: not linear (p = 1e-09)")
    assert verdict_on({"optimizer": "adam"}, optimizers(1e-3, 0.2)).verdict == "undecidable"
    assert verdict_on({"optimizer": "sgd"}, optimizers(0.4, 0.4)).verdict == "undecidable"
    # Where all are ruled out, the claimed one is too.
    assert verdict_on({"optimizer": "adam"}, optimizers(1e-9, 1e-9)).verdict == "contradicted"


def test_evidence_does_not_count_twice():
    """The smallest p-value times the number of tests: repeating evidence never strengthens it."""
    one = verdict_on({"optimizer": "adam"}, optimizers(0.5, 8e-5))
    same = verdict_on({"optimizer": "adam"}, *[optimizers(0.5, 8e-5)] * 3)
    assert one.verdict == "contradicted"
    assert same.verdict == "undecidable"
    assert same.p_value == pytest.approx(3 * 8e-5)
    weak = [optimizers(0.5, 1e-3, law) for law in "abc"]
    assert verdict_on({"optimizer": "adam"}, *weak).verdict == "undecidable"


@pytest.mark.parametrize("dependence", ["equal", "independent", "opposite"])
def test_the_p_value_of_a_claim_is_valid_whatever_the_dependence(dependence):
    """A true claim has p <= x in at most a share x of nets."""
    draw, nets, x = np.random.default_rng(3), 2000, 0.05
    one, other = draw.random((2, nets))
    other = {"equal": one, "independent": other, "opposite": 1 - one}[dependence]
    below = 0
    for pair in zip(one, other, strict=True):
        found = verdict_on({"optimizer": "adam"}, *(optimizers(1.0, float(p)) for p in pair))
        below += found.p_value <= x
    assert below / nets <= x + 3 * math.sqrt(x * (1 - x) / nets)


def test_evidence_that_says_nothing_of_the_value_is_shown_beside():
    one = optimizers(1e-9, 0.2)
    found = verdict_on({"optimizer": "lion"}, one)
    assert found.verdict == "undecidable"
    assert found.p_value is None
    assert found.bearings == ()
    assert found.about == (one,)
    assert found.to_dict()["evidence"][0]["p_value"] is None
    unable = Evidence("a law", "optimizer", "not applicable", missing="too small")
    assert verdict_on({"optimizer": "adam"}, unable).about == ()


def test_an_exact_number_contradicts_every_other():
    exact = measured("steps", 1500, 1500, 1500)
    assert verdict_on({"steps": 1500}, exact).verdict == "consistent"
    assert verdict_on({"steps": 1501}, exact).verdict == "contradicted"
    rate = measured("learning_rate", np.float32(0.1), np.float32(0.1), np.float32(0.1))
    assert verdict_on({"learning_rate": 0.1}, rate).verdict == "consistent"


@pytest.mark.parametrize(
    ("claimed", "word"),
    [
        (0.001, "consistent"),
        (0.0012, "consistent"),
        (0.002, "undecidable"),
        (0.004, "contradicted"),
    ],
)
def test_a_number_with_an_interval(claimed, word):
    found = verdict_on({"learning_rate": claimed}, measured("learning_rate", 1e-3, 5e-4, 1.5e-3))
    if word == "undecidable":  # a tenth of it is not ruled out either
        assert LEVEL < found.p_value < 1e-3
    assert found.verdict in (word, "undecidable")
    assert (found.verdict == "contradicted") == (word == "contradicted")


def test_a_number_is_consistent_if_others_are_ruled_out_on_both_sides():
    close = measured("learning_rate", 1e-2, 9e-3, 1.1e-2)
    assert verdict_on({"learning_rate": 0.01}, close).verdict == "consistent"
    bound = measured("learning_rate", 1e-2, 9e-3, math.inf)
    assert verdict_on({"learning_rate": 0.01}, bound).verdict == "undecidable"
    assert verdict_on({"learning_rate": 0.001}, bound).verdict == "contradicted"
    assert verdict_on({"learning_rate": 10}, bound).verdict == "undecidable"


def test_an_interval_keeps_its_promise_and_its_tails_are_heavy():
    estimate = Estimate("x", 10.0, 8.0, 14.0)
    assert p_of(estimate, 8.0) == pytest.approx(0.01, rel=1e-3)
    assert p_of(estimate, 14.0) == pytest.approx(0.01, rel=1e-3)
    assert p_of(estimate, 10.0) == 1
    normal = 2 * stats.norm.sf(2.5758 * 3)
    assert p_of(estimate, 4.0) > normal * 1e6  # three times as far as the limit
    assert p_of(estimate, 4.0) < LEVEL < p_of(estimate, 5.0)
    beyond = Estimate("x", 10.0, 10.0, math.inf)
    assert p_of(beyond, 0.0) == 0.01  # a limit without width is not taken for exact


def test_an_estimate_of_something_else_is_no_evidence():
    other = measured("learning_rate", 1.0, 1.0, 1.0, name="learning rate when saved")
    found = verdict_on({"learning_rate": 0.1}, other)
    assert found.verdict == "undecidable"
    assert found.about == (other,)


def test_true_and_one_are_different_values():
    one = Evidence("tensors", "batch_norm", "no", hypotheses=(Hypothesis((1,), 0.0),))
    assert verdict_on({"batch_norm": True}, one).p_value is None


def test_what_rests_on_other_claims_names_them():
    evidence = Evidence("counters", "epochs", "no", hypotheses=(Hypothesis((5,), 0.0),))
    rests = Derived(evidence, ("batch_size",))
    found = verdict_on({"epochs": 5, "batch_size": 64}, derived=(rests,))
    assert (found.verdict, found.given) == ("contradicted", ("batch_size",))
    sure = verdict_on({"epochs": 5, "batch_size": 64}, evidence, derived=(rests,))
    assert (sure.verdict, sure.given) == ("contradicted", ())


def test_a_hypothesis_that_is_no_answer_is_no_rival():
    """ "MNIST, its images not moved" says nothing against MNIST, nor for it."""
    whole = Hypothesis((), 0.0, "mnist, its images not moved")
    one = Evidence("inputs", "dataset", "seen", hypotheses=(Hypothesis(("mnist",), 0.5), whole))
    assert verdict_on({"dataset": "mnist"}, one).verdict == "undecidable"
    other = Hypothesis((), 0.0, "any other")
    one = Evidence("inputs", "dataset", "seen", hypotheses=(Hypothesis(("mnist",), 0.5), other))
    assert verdict_on({"dataset": "mnist"}, one).verdict == "consistent"


def test_a_million_seeds_are_judged_at_once():
    seeds = tuple(range(1, 1_000_001))
    hypotheses = (Hypothesis((0,), 1.0), Hypothesis(seeds, 1e-20, "another seed"))
    one = Evidence("seeds", "seed", "found", hypotheses=hypotheses)
    began = time.process_time()
    assert verdict_on({"seed": 0}, one).verdict == "consistent"
    wrong = verdict_on({"seed": 999_999}, one)
    assert wrong.verdict == "contradicted"
    (finding,) = said([one])
    assert finding.text == "0: found"
    assert len(json.dumps(wrong.to_dict())) < 10_000
    assert time.process_time() - began < 2


def test_an_unknown_claim_is_named_and_undecidable():
    found = verdict_on({"Colour": "red"}, optimizers(0, 0))
    assert (found.claim.name, found.verdict) == ("Colour", "undecidable")
    assert found.strength == "weightspace knows no claim of this name"


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("optimizer", "sgdd", "sgd"),
        ("optimizer", "adamm", "adam"),
        ("activation", "geluu", "gelu"),
        ("optimizer", "muon", ""),  # a name that is right, of what nothing is known about
        ("optimizer", "sgd", ""),
        ("dataset", "imagenet21k", ""),
        ("architecture", "resnett", "resnet"),
    ],
)
def test_a_misspelled_name_is_noticed(name, value, meant):
    said = verdict_on({name: value}, measured("learning_rate", 1, 1, 1)).decides
    assert (f"is {meant} meant?" in said) == bool(meant)
    assert ("meant" in said) == bool(meant)


def test_every_known_claim_says_what_would_decide_it():
    from weightspace.audit.deciding import what_would_decide
    from weightspace.audit.spelling import KEYS
    from weightspace.audit.values import expanded

    for name in KEYS:
        for one in expanded(name, "0.5, 0.5" if name == "betas" else 1):
            claim = (
                Claims.of({one: "0.5" if "beta" in one else 1}).claims[0]
                if one not in ("momentum", "dropout", "label_smoothing")
                else Claims.of({one: 0}).claims[0]
            )
            assert what_would_decide(claim, ()), one
