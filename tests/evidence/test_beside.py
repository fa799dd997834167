"""States of optimizers and settings beside the weights, as torch writes them."""

from argparse import Namespace

import pytest
import torch

from support.norm_nets import mlp, opened, p_value, trained
from weightspace.checkpoints.inspection.keras import of_keras
from weightspace.evidence import Context
from weightspace.evidence.beside import settings_law, state_law
from weightspace.evidence.spellings import claim_of, stated, values_of

MAKE = {
    "sgd": lambda own: torch.optim.SGD(own, 0.1),
    "momentum": lambda own: torch.optim.SGD(own, 0.1, momentum=0.9, weight_decay=5e-4),
    "nesterov": lambda own: torch.optim.SGD(own, 0.1, momentum=0.9, nesterov=True),
    "adam": lambda own: torch.optim.Adam(own, 0.001, betas=(0.5, 0.99)),
    "adamw": lambda own: torch.optim.AdamW(own, 0.001),
    "rmsprop": lambda own: torch.optim.RMSprop(own, 0.001),
    "adagrad": lambda own: torch.optim.Adagrad(own, 0.01),
}


def saved(make, steps=5, schedule=None):
    kept = []

    def optimizer(own):
        kept.append(make(own))
        if schedule is not None:
            kept.append(schedule(kept[0]))
        return kept[0]

    net = trained(mlp(), optimizer, steps)
    content = {"net": net.state_dict(), "optimizer": kept[0].state_dict()}
    if schedule is not None:
        for _ in range(40):
            kept[1].step()
        content = {
            "net": net.state_dict(), "optimizer": kept[0].state_dict(),
            "scheduler": kept[1].state_dict(),
        }  # fmt: skip
    return content


def law(content, tmp_path, which=state_law, **claims):
    with opened(content, tmp_path) as (subject, context):
        return list(which(subject, Context(claims=claims, inspection=context.inspection)))


@pytest.mark.parametrize("name", MAKE)
def test_the_kind_of_an_optimizer_agrees_and_others_are_excluded(name, tmp_path):
    found = law(saved(MAKE[name]), tmp_path)
    assert p_value(found, "optimizer", name) == 1.0
    others = {"adam", "adamw"} if name.startswith("adam") else {name}
    loose = {"momentum": {"sgd"}, "nesterov": {"sgd", "momentum"}}.get(name, set())
    for other in set(MAKE) - others - loose:
        assert p_value(found, "optimizer", other) == 0.0, other
    for other in (others | loose) - {name}:
        assert p_value(found, "optimizer", other) in (None, 1.0)


def test_rates_betas_and_steps(tmp_path):
    found = law(saved(MAKE["adam"]), tmp_path, beta1=0.5, beta2=0.999, steps=3)
    assert p_value(found, "beta1", 0.5) == 1.0
    assert p_value(found, "beta2", 0.999) == 0.0
    assert p_value(found, "steps", 5) == 1.0
    assert p_value(found, "steps", 3) == 0.0
    more = law(saved(MAKE["adam"]), tmp_path, steps=500)
    assert p_value(more, "steps", 500) is None  # the optimizer may have been made anew


def test_steps_tell_epochs_batch_size_and_images(tmp_path):
    """14 steps are 2 epochs of 448 images in batches of 64."""
    content, true = saved(MAKE["adam"], 14), {"epochs": 2, "batch_size": 64, "train_images": 448}
    content["net"] = {k: v for k, v in content["net"].items() if "num_batches" not in k}

    def told(**changed):
        found = law(content, tmp_path, **(true | changed))
        claims = [one for one in found if one.claim == "epochs"]
        return p_value(claims, "epochs", (true | changed)["epochs"]), claims[-1].says

    assert told() == (1.0, "epochs 2, batch_size 64, train_images 448: "
                           "2 epochs of 448 images in batches of 64 gives 14 steps")  # fmt: skip
    assert told(epochs=1)[1].startswith("no training with epochs 1, batch_size 64, train_images")
    for more in ({"epochs": 3}, {"batch_size": 16}):
        assert "but the optimizer may have been made anew during the training" in told(**more)[1]


def test_steps_that_were_rounded_to_16_bits_say_nothing(tmp_path):
    content = saved(MAKE["adam"], 14)
    for state in content["optimizer"]["state"].values():
        state["step"] = state["step"].half()
    assert not [one for one in law(content, tmp_path) if one.claim == "steps"]


@pytest.mark.parametrize(
    ("name", "config", "count"),
    [("Adam", {}, 90), ("Custom>Adam", {}, 90), ("Adam", {"gradient_accumulation_steps": 4}, None)],
)
def test_keras_names_an_optimizer_and_counts_batches_where_a_step_gathers(name, config, count):
    said = {"class_name": name, "where": "", "config": config, "variables": 4, "iteration": 90}
    state, _ = of_keras(said)
    assert state.kind == "Adam"
    assert state.steps == (None if count is None else (count, count))


def test_counters_go_before_steps(tmp_path):
    """A net that counts its batches is judged by these, of which more excuse a claim."""
    content = saved(MAKE["adam"], 14)
    found = law(content, tmp_path, epochs=1, batch_size=64, train_images=448)
    assert not [one for one in found if one.claim == "epochs"]


def test_a_rate_without_a_schedule_may_be_the_last_of_several(tmp_path):
    found = law(saved(MAKE["momentum"]), tmp_path, learning_rate=0.5, weight_decay=0.1)
    assert p_value(found, "learning_rate", 0.1) == 1.0
    assert p_value(found, "learning_rate", 0.5) is None
    assert p_value(found, "weight_decay", 0.1) == 0.0


def test_a_schedule_keeps_the_first_rate(tmp_path):
    content = saved(MAKE["sgd"], schedule=lambda o: torch.optim.lr_scheduler.StepLR(o, 10))
    assert content["optimizer"]["param_groups"][0]["lr"] == pytest.approx(1e-5)
    found = law(content, tmp_path, learning_rate=0.1)
    assert p_value(found, "learning_rate", 0.1) == 1.0
    wrong = law(content, tmp_path, learning_rate=0.3)
    assert p_value(wrong, "learning_rate", 0.3) == 0.0
    assert any("StepLR" in one.says for one in found)


def test_one_cycle_agrees_with_its_first_and_its_largest_rate(tmp_path):
    content = saved(
        MAKE["momentum"],
        schedule=lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.5, total_steps=100),
    )
    for rate in (0.5, 0.02):
        assert p_value(law(content, tmp_path, learning_rate=rate), "learning_rate", rate) == 1.0


def test_no_weight_decay_in_the_optimizer_leaves_that_of_the_loss(tmp_path):
    found = law(saved(MAKE["sgd"]), tmp_path, weight_decay=0.01)
    assert p_value(found, "weight_decay", 0.01) is None


def test_two_optimizers_contradict_only_what_neither_is(tmp_path):
    one, two = saved(MAKE["sgd"]), saved(MAKE["adam"])
    found = law(one | {"optimizer2": two["optimizer"]}, tmp_path)
    assert p_value(found, "optimizer", "sgd") == p_value(found, "optimizer", "adam") == 1.0
    assert p_value(found, "optimizer", "rmsprop") == 0.0


def test_settings_are_statements_that_contradict_nothing(tmp_path):
    args = Namespace(
        lr=0.05, batch_size=128, manualSeed="7", dataset="CIFAR-10", opt="SGD", out="x"
    )
    content = {"net": mlp().state_dict(), "args": vars(args), "epoch": 29, "best_epoch": 12}
    found = law(content, tmp_path, which=settings_law, learning_rate=0.5)
    for claim, value in (("learning_rate", 0.05), ("batch_size", 128), ("seed", 7),
                         ("dataset", "cifar10"), ("optimizer", "momentum"),
                         ("epochs", 29), ("epochs", 30)):  # fmt: skip
        assert p_value(found, claim, value) == 1.0, claim
    assert p_value(found, "learning_rate", 0.5) is None
    assert p_value(found, "epochs", 12) is None
    assert {one.law for one in found} == {"settings in the file"}


def test_a_file_of_weights_alone_says_nothing(tmp_path):
    for which in (state_law, settings_law):
        (found,) = law(mlp().state_dict(), tmp_path, which=which)
        assert found.missing


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("lr", "learning_rate"), ("learning-rate", "learning_rate"), ("wd", "weight_decay"),
        ("bs", "batch_size"), ("n_epochs", "epochs"), ("max_epochs", "epochs"),
        ("manual_seed", "seed"), ("numTrainEpochs", "epochs"), ("adam_beta1", "beta1"),
        ("per_device_train_batch_size", "batch_size"), ("eval_batch_size", ""), ("lr_decay", ""),
        ("momentum_decay", ""),
    ],
)  # fmt: skip
def test_spellings(name, claim):
    assert claim_of(name) == claim


@pytest.mark.parametrize(
    ("claim", "value"),
    [("seed", True), ("epochs", 0), ("batch_size", 2.5), ("learning_rate", -1.0),
     ("learning_rate", float("nan")), ("dataset", ""), ("dataset", ["a"]), ("epochs", "many"),
     ("steps", float("inf")), ("drop_last", 1)],
)  # fmt: skip
def test_what_is_no_value_of_a_claim_is_left_out(claim, value):
    assert values_of(claim, value) == ()


def test_settings_within_settings_are_found_but_not_without_end():
    deep: dict = {"lr": 1.0}
    for _ in range(3):
        deep = {"train": deep}
    assert [one[0] for one in stated(deep)] == ["learning_rate"]
    assert list(stated({"more": deep})) == []


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_an_optimizer_that_has_not_stepped_says_nothing_of_the_weights(name, tmp_path):
    """Programs that go on with a net may save it before the first step of their own optimizer."""
    (found,) = law(saved(MAKE[name], steps=0), tmp_path)
    assert "not taken a step" in found.missing
