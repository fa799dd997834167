"""Files that flax writes today, with states of optax's optimizers, are read as what it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.libraries import facts, layers, needed, side, values_of
from weightspace.checkpoints import inspect
from weightspace.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore")

STEPS = 3
OPTIMIZERS = {
    "adam": ("a relative of Adam", (3, 3), 8),
    "adamw": ("a relative of Adam", (3, 3), 8),
    "amsgrad": ("AMSGrad", (3, 3), 8),
    "lion": ("Lion", (3, 3), 8),
    "rmsprop": ("RMSprop", None, 8),
    "adagrad": ("Adagrad", None, 8),
    "adadelta": ("Adadelta", None, 8),
    "adafactor": ("Adafactor", (3, 3), 8),
    "sgd": ("one without a state, such as SGD without momentum", None, 0),
}


def state(tx: Any) -> Any:
    """A train state after some steps, with values that differ, and running statistics."""
    needed("jax", "flax", "optax")
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    from flax.training import train_state

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.BatchNorm(use_running_average=False)(nn.Conv(4, (3, 3))(x))
            x = nn.LayerNorm()(nn.relu(x).reshape((x.shape[0], -1)))
            return nn.Dense(3)(x)

    class State(train_state.TrainState):
        batch_stats: Any = None

    net = Net()
    made = net.init(jax.random.PRNGKey(0), jnp.zeros((1, 5, 5, 2)))
    draw = np.random.default_rng(0)
    made = jax.tree.map(lambda x: jnp.asarray(draw.normal(size=x.shape), jnp.float32), made)
    now = State.create(
        apply_fn=net.apply, params=made["params"], tx=tx, batch_stats=made["batch_stats"]
    )
    for _ in range(STEPS):
        now = now.apply_gradients(grads=jax.tree.map(jnp.ones_like, now.params))
    return now


def written(path: Path, tree: Any) -> Path:
    import flax.serialization

    path.write_bytes(flax.serialization.to_bytes(tree))
    return path


def same(path: Path, params: Any, statistics: Any) -> None:
    found = values_of(path)
    wanted = {
        "Conv_0.kernel": np.asarray(params["Conv_0"]["kernel"]).transpose(3, 2, 0, 1),
        "Conv_0.bias": params["Conv_0"]["bias"],
        "BatchNorm_0.scale": params["BatchNorm_0"]["scale"],
        "BatchNorm_0.bias": params["BatchNorm_0"]["bias"],
        "BatchNorm_0.running_mean": statistics["BatchNorm_0"]["mean"],
        "BatchNorm_0.running_var": statistics["BatchNorm_0"]["var"],
        "LayerNorm_0.scale": params["LayerNorm_0"]["scale"],
        "LayerNorm_0.bias": params["LayerNorm_0"]["bias"],
        "Dense_0.kernel": np.asarray(params["Dense_0"]["kernel"]).T,
        "Dense_0.bias": params["Dense_0"]["bias"],
    }
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], np.asarray(values), err_msg=name)


def test_variables_alone(tmp_path):
    needed("optax")
    import optax

    now = state(optax.sgd(0.1))
    tree = {"params": now.params, "batch_stats": now.batch_stats}
    path = written(tmp_path / "net.msgpack", tree)
    same(path, now.params, now.batch_stats)
    found = inspect(path)
    assert (found.form, found.architecture.kind) == ("flax", "CNN")
    assert [name.removesuffix(".kernel") for name in layers(found)] == ["Conv_0", "Dense_0"]
    assert side(found, "BatchNorm_0") == "after Conv_0.kernel"
    assert side(found, "LayerNorm_0") == "before Dense_0.kernel"
    assert found.optimizers == found.schedules == found.findings == ()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_train_state_and_its_optimizer(tmp_path, name):
    needed("optax")
    import optax

    now = state(getattr(optax, name)(1e-3))
    path = written(tmp_path / "net.msgpack", now)
    same(path, now.params, now.batch_stats)
    found = inspect(path)
    assert (found.key, found.others) == ("params", ())
    assert facts(found)["step"] == STEPS
    (optimizer,) = found.optimizers
    kind, steps, parameters = OPTIMIZERS[name]
    assert (optimizer.kind, optimizer.where) == (kind, "opt_state")
    assert (optimizer.steps, optimizer.parameters) == (steps, parameters)


def test_momentum_schedules_and_injected_settings(tmp_path):
    needed("optax")
    import optax

    rate = optax.cosine_decay_schedule(1e-3, 100)
    chain = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(rate, momentum=0.9))
    found = inspect(written(tmp_path / "chain.msgpack", state(chain)))
    assert (found.optimizers[0].kind, found.optimizers[0].steps) == ("SGD", (3, 3))
    (schedule,) = found.schedules
    assert (schedule.kind, schedule.settings) == ("unknown", {"count": 3})
    assert schedule.where.startswith("opt_state/1/")

    injected = optax.inject_hyperparams(optax.adamw)(learning_rate=1e-3, weight_decay=0.25)
    found = inspect(written(tmp_path / "injected.msgpack", state(injected)))
    (group,) = found.optimizers[0].groups
    assert group["learning_rate"] == pytest.approx(1e-3)
    assert group["weight_decay"] == 0.25


def test_two_optimizers_in_one(tmp_path):
    needed("jax", "optax")
    import jax
    import optax

    parts = {"kernels": optax.adam(1e-3), "others": optax.sgd(1e-2, momentum=0.9)}
    both = optax.multi_transform(
        parts, lambda tree: jax.tree.map(lambda x: "kernels" if x.ndim > 1 else "others", tree)
    )
    (optimizer,) = inspect(written(tmp_path / "net.msgpack", state(both))).optimizers
    assert optimizer.kind == "a relative of Adam and SGD"
    assert optimizer.parameters == 8


def test_the_state_of_a_module_of_nnx(tmp_path):
    needed("jax", "flax", "optax")
    import optax
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.conv = nnx.Conv(2, 4, (3, 3), rngs=rngs)
            self.bn = nnx.BatchNorm(4, rngs=rngs)
            self.att = nnx.MultiHeadAttention(2, 8, rngs=rngs, decode=False)
            self.stack = nnx.List([nnx.Linear(36, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)])

    net = Net(nnx.Rngs(0))
    optimizer = nnx.Optimizer(net, optax.adam(1e-3), wrt=nnx.Param)
    pure = nnx.to_pure_dict(nnx.state(net))
    path = written(tmp_path / "net.msgpack", pure)
    found = values_of(path)
    conv = np.asarray(pure["conv"]["kernel"]).transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(found["conv.kernel"], conv)
    np.testing.assert_array_equal(found["bn.running_var"], np.asarray(pure["bn"]["var"]))
    for number in (0, 1):
        kernel = np.asarray(pure["stack"][number]["kernel"]).T
        np.testing.assert_array_equal(found[f"stack.{number}.kernel"], kernel)
    query = np.asarray(pure["att"]["query"]["kernel"]).reshape(8, 8).T
    np.testing.assert_array_equal(found["att.query.kernel"], query)
    out = np.asarray(pure["att"]["out"]["kernel"]).reshape(8, 8).T
    np.testing.assert_array_equal(found["att.out.kernel"], out)
    assert inspect(path).architecture.kind == "transformer"

    whole = {"model": pure, "optimizer": nnx.to_pure_dict(nnx.state(optimizer))}
    path = written(tmp_path / "both.msgpack", whole)
    same_values = values_of(path)
    for name, values in found.items():
        np.testing.assert_array_equal(same_values[name], values, err_msg=name)
    (state,) = inspect(path).optimizers
    assert (state.kind, state.where) == ("a relative of Adam", "optimizer/opt_state")


def test_a_folder_of_orbax_is_named(tmp_path):
    needed("jax", "orbax.checkpoint")
    import orbax.checkpoint

    with orbax.checkpoint.StandardCheckpointer() as writer:
        writer.save(tmp_path / "net", {"kernel": np.ones((2, 3), np.float32)})
    with pytest.raises(DataError, match="a folder that Orbax wrote, which is not read; restore it"):
        inspect(tmp_path / "net")
    with orbax.checkpoint.CheckpointManager(tmp_path / "run") as manager:
        saved = orbax.checkpoint.args.StandardSave({"kernel": np.ones((2, 3), np.float32)})
        manager.save(3, args=saved)
    with pytest.raises(DataError, match="a folder of checkpoints; name one in it, such as 3"):
        inspect(tmp_path / "run")
