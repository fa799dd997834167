"""What a snapshot says of its net, what a net sees, and what it starts from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from support.nets import BASE, MIXED, PlainNet, small
from weightspace.images.imageset import ImageSet
from weightspace.networks import Plan
from weightspace.networks.initializations import INITIALIZATIONS, initial_vector
from weightspace.training import Pool, Snapshot, StackTrainer


@pytest.fixture(scope="module")
def pool() -> Pool:
    """Two sets with different numbers of test images, 300 and 80: evaluation pads and batches."""
    sets = {name: small(name) for name in ("digits", "textures")}
    long = sets["textures"]
    x, y = np.tile(long.x_test, (4, 1, 1, 1))[:300], np.tile(long.y_test, 4)[:300]
    sets["textures"] = replace(long, x_test=x, y_test=y)
    return Pool.of(sets)


def loaded(snapshot: Snapshot, trainer: StackTrainer, activation: str) -> nn.Module:
    """The plain net with a snapshot's values, ready to be evaluated."""
    net = PlainNet(trainer.plan, activation)
    with torch.no_grad():
        for spec, tensor in zip(trainer.layout.tensors, net.tensors(), strict=True):
            values = torch.from_numpy(snapshot.vector[spec.offset : spec.stop].copy())
            tensor.copy_(values.view(spec.shape))
    return net.eval()


def measured(net: nn.Module, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Loss and accuracy of a plain net on uint8 images [N, H, W, C]."""
    images = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255
    dropouts = sum(isinstance(module, nn.Dropout) for module in net.modules())
    with torch.no_grad():
        logits = net(images, [torch.ones(1)] * dropouts)
    labels = torch.from_numpy(y)
    loss = nn.functional.cross_entropy(logits, labels).item()
    return loss, (logits.argmax(1) == labels).double().mean().item()


def test_losses_and_accuracies_are_those_of_the_snapshot_in_plain_pytorch(pool: Pool) -> None:
    """On test and validation images, with running statistics, without dropout."""
    recipes = [replace(r, learning_rate=0.005) for r in MIXED[:4]]
    trainer = StackTrainer(recipes, pool, snapshots=3, evaluation_images=1000)
    activation = {r.net: r.activation for r in recipes}
    held = {
        (of, r.net): (own.index[i][own.weight[i] > 0], own.labels_of(i))
        for of, own in trainer.batches.held.items()
        for i, r in enumerate(trainer.recipes)
    }
    for r in recipes:
        images = pool.sets[r.dataset]
        assert torch.equal(held["test", r.net][1], torch.from_numpy(images.y_test))
    for snapshot in trainer.run():
        net = loaded(snapshot, trainer, activation[snapshot.net])
        for of in ("train", "validation", "test"):
            index, labels = held[of, snapshot.net]
            x = pool.images[index].permute(0, 2, 3, 1).numpy()
            loss, accuracy = measured(net, x, labels.numpy())
            assert snapshot.metrics[f"{of}_loss"] == pytest.approx(loss, rel=1e-4)
            assert snapshot.metrics[f"{of}_accuracy"] == pytest.approx(accuracy, abs=1e-6)
        assert snapshot.epoch == pytest.approx(snapshot.step / 9)


def test_a_net_is_measured_on_its_own_training_images_with_its_own_labels(pool: Pool) -> None:
    """A fixed sample of them, as large as asked for; wrong labels where the net learns wrong."""
    few = replace(BASE, seed=3, train_images=100)
    noisy = replace(BASE, seed=4, label_noise=0.4)
    batches = StackTrainer([few, noisy], pool, snapshots=2, evaluation_images=120).batches
    sample, sizes = batches.held["train"], (90, 120)
    for i, size in enumerate(sizes):
        index = sample.index[i][sample.weight[i] > 0]
        assert len(index) == len(set(index.tolist())) == size
        own = batches.train[i].tolist()
        assert set(index.tolist()) <= set(own)
        assert batches.labels is not None
        taught = dict(zip(own, batches.labels[i].tolist(), strict=True))
        assert sample.labels_of(i).tolist() == [taught[position] for position in index.tolist()]
    wrong = (sample.labels_of(1) != pool.labels[sample.index[1]]).double().mean().item()
    assert 0.2 < wrong < 0.6
    again = StackTrainer([noisy], pool, snapshots=2, evaluation_images=120).batches.held["train"]
    assert torch.equal(again.index[0], sample.index[1])
    assert torch.equal(again.labels[0], sample.labels[1])


def test_batch_figures_are_means_since_the_last_snapshot(pool: Pool) -> None:
    """Three thirds of a run, each on its own, average to the whole run; and the net learns."""
    recipe = replace(BASE, learning_rate=0.01, dropout=0.0)
    for name in ("batch_loss", "batch_accuracy"):
        whole, thirds = (
            [s.metrics[name] for s in StackTrainer([recipe], pool, snapshots=count).run()]
            for count in (2, 4)
        )
        assert np.isnan(whole[0])
        assert np.isnan(thirds[0])
        assert np.mean(thirds[1:]) == pytest.approx(whole[1], rel=1e-6)
        assert abs(thirds[3] - thirds[1]) > 0.1


def test_dropout_and_augmentation_are_in_batch_figures_alone(pool: Pool) -> None:
    """A net that learned its images by heart still stumbles where half of it is left out."""
    recipe = replace(
        BASE, dropout=0.5, augmentation=True, epochs=100, learning_rate=0.01, depth_fc=1,
        width_fc=16,
    )  # fmt: skip
    *_, last = StackTrainer([recipe], pool, snapshots=4).run()
    assert last.metrics["train_accuracy"] > last.metrics["batch_accuracy"] + 0.1
    assert last.metrics["train_loss"] < last.metrics["batch_loss"] - 0.1


def test_a_net_sees_each_of_its_own_images_once_an_epoch_and_no_others(pool: Pool) -> None:
    batches = StackTrainer(MIXED, pool, snapshots=2).batches
    seen: list[torch.Tensor] = []
    for step in range(18):
        batches.at(step)
        first = (step % 9) * 16
        seen.append(batches.train.gather(1, batches.order[:, first : first + 16]))
    first_epoch, second_epoch = torch.cat(seen[:9], 1), torch.cat(seen[9:], 1)
    for i in range(len(MIXED)):
        train = sorted(batches.train[i].tolist())
        assert len(set(train)) == 144
        assert sorted(first_epoch[i].tolist()) == sorted(second_epoch[i].tolist()) == train
        assert first_epoch[i].tolist() != second_epoch[i].tolist()
        held = batches.held["validation"].index[i].tolist() + batches.held["test"].index[i].tolist()
        assert not set(held) & set(train)
    assert first_epoch[0].tolist() != first_epoch[2].tolist()


def test_dropout_drops_its_share_anew_at_every_step(pool: Pool) -> None:
    recipes = [replace(BASE, seed=i, dropout=rate) for i, rate in enumerate((0.0, 0.25, 0.5))]
    trainer = StackTrainer(recipes, pool, snapshots=2)
    steps = []
    for _ in range(27):
        steps.append(torch.cat([mask.flatten(1) for mask in trainer.masks()], 1))
        trainer.train_step()
    masks = torch.stack(steps)  # [step, net, unit]
    for i, recipe in enumerate(trainer.recipes):
        dropped = (masks[:, i] == 0).double().mean().item()
        assert abs(dropped - recipe.dropout) < 0.03
        kept = masks[:, i][masks[:, i] > 0]
        assert torch.allclose(kept, torch.full_like(kept, 1 / (1 - recipe.dropout)))
    assert not torch.equal(masks[0, 2], masks[1, 2])


def test_augmented_nets_see_other_pixels_of_the_same_images(pool: Pool) -> None:
    plain, augmented = (replace(BASE, augmentation=on) for on in (False, True))
    trainer = StackTrainer([plain, augmented], pool, snapshots=2)
    images, y = trainer.batches.at(0)
    x = images.values(trainer.dtype)
    row = [r.augmentation for r in trainer.recipes].index(True)
    assert torch.equal(y[0], y[1])
    assert (x[row] != x[1 - row]).double().mean() > 0.5
    assert x.min() >= 0
    assert x.max() <= 1


@pytest.mark.parametrize("name", INITIALIZATIONS)
def test_initial_weights_have_the_published_spread(name: str) -> None:
    """Glorot & Bengio (2010), He et al. (2015); to 5 % for a kernel of 51,200 values."""
    plan = Plan.from_recipe(replace(BASE, filter_size=5, width_conv=32, depth_conv=3))
    layout = plan.layout()
    u = torch.from_numpy(np.random.default_rng(0).random(layout.size))
    vector = initial_vector(layout, name, u)
    spec = next(t for t in layout.tensors if t.name == "conv3.weight")
    kernel = vector[spec.offset : spec.stop]
    fan_in, fan_out = spec.shape[1] * 25, spec.shape[0] * 25
    variance = {
        "constant": 0.0,
        "normal": 1.0,
        "glorot_uniform": 2 / (fan_in + fan_out),
        "glorot_normal": 2 / (fan_in + fan_out),
        "he_uniform": 2 / fan_in,
        "he_normal": 2 / fan_in,
        "lecun_uniform": 1 / fan_in,
        "lecun_normal": 1 / fan_in,
        "orthogonal": 1 / max(fan_in, spec.shape[0]),
        "torch_default": 1 / (3 * fan_in),
    }[name]
    assert kernel.var().item() == pytest.approx(variance, rel=0.05, abs=1e-12)
    assert kernel.mean().item() == pytest.approx(0.1 if name == "constant" else 0, abs=0.03)
    if name.endswith("uniform"):
        assert kernel.abs().max().item() <= np.sqrt(3 * variance)
    if name == "orthogonal":
        rows = kernel.view(spec.shape[0], -1)
        assert torch.allclose(rows @ rows.T, torch.eye(len(rows), dtype=rows.dtype), atol=1e-10)
    for spec in layout.tensors:
        if name == "torch_default" and spec.role == "bias":
            fan = next(t for t in layout.tensors if t.name == spec.name.replace("bias", "weight"))
            bias = vector[spec.offset : spec.stop] * np.sqrt(fan.size / fan.shape[0])
            assert 0 < bias.abs().max() <= 1  # torch.nn.Linear's and Conv2d's own
        elif spec.role != "weight":
            expected = float(spec.role in ("scale", "running_var"))
            assert (vector[spec.offset : spec.stop] == expected).all()


def test_batch_norm_off_means_no_norm(pool: Pool) -> None:
    recipe = replace(BASE, batch_norm=False, epochs=60, dropout=0.0, train_images=0)
    trainer = StackTrainer([recipe], pool, snapshots=2)
    assert {t.role for t in trainer.layout.tensors} == {"weight", "bias"}
    *_, last = trainer.run()
    assert last.metrics["test_accuracy"] > 0.4


def noise(classes: int, share: float, test: int) -> ImageSet:
    """Images that say nothing, `share` of them of class 0."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (400 + test, 8, 8, 1), dtype=np.uint8)
    labels = np.arange(400 + test) % classes
    labels[rng.random(400 + test) < share] = 0
    names = tuple(map(str, range(classes)))
    return ImageSet("noise", x[:400], labels[:400], x[400:], labels[400:], names)


def test_a_net_that_always_gives_the_commonest_answer_is_dead() -> None:
    pool = Pool.of({"noise": noise(10, 0.3, 400)})
    trainer = StackTrainer([replace(BASE, dataset="noise", epochs=6)], pool, snapshots=2)
    list(trainer.run())
    assert trainer.outcomes[0].dead


def test_a_net_that_is_always_right_on_few_test_images_is_alive(pool: Pool) -> None:
    recipe = replace(BASE, train_images=0, epochs=40, dropout=0.0, learning_rate=0.01)
    digits = pool.sets["digits"]
    two = digits.y_test < 2
    x_test, y_test = digits.x_test[two][:4], digits.y_test[two][:4]
    few = Pool.of({"digits": replace(digits, x_test=x_test, y_test=y_test)})
    trainer = StackTrainer([recipe], few, snapshots=2)
    *_, last = trainer.run()
    assert last.metrics["test_accuracy"] == 1
    assert not trainer.outcomes[0].dead


def test_a_divergence_is_dated_alike_with_any_neighbour(pool: Pool) -> None:
    wild = replace(BASE, seed=3, optimizer="momentum", learning_rate=99.0, weight_decay=1.0)
    found = []
    for others in ([], [replace(BASE, seed=4, epochs=1)], MIXED[:2]):
        trainer = StackTrainer([wild, *others], pool, snapshots=4, evaluation_images=50)
        numbers = [s.number for s in trainer.run() if s.net == wild.net]
        (outcome,) = [o for o in trainer.outcomes if o.net == wild.net]
        assert outcome.steps == outcome.diverged_step
        found.append((numbers, outcome.diverged_step))
    assert found[0] == found[1] == found[2]
