"""Networks on slices: what they cost and see, that they learn, stay apart and can be stored."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

from support.populations import synthetic_zoo
from weightspace.errors import DataError, UsageError
from weightspace.learners.neural import Paper, Patches, multiply_adds, receptive_field
from weightspace.learners.neural.architectures import PATCHES, Network, paper
from weightspace.meta import evaluate, fit
from weightspace.meta.design.labels import labels_of
from weightspace.meta.design.slices import Source, fresh_slices

QUICK = Patches(epochs=12, batch_size=16, learning_rate=5e-3)


# None is expected to fail. Two skip themselves here: they need pandas and SCIPY_ARRAY_API.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.slow
@parametrize_with_checks([QUICK])
def test_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


def counted(network, length):
    """Multiply-adds of one slice, by what each layer was seen to put out."""
    total = 0

    def count(layer, _, out):
        nonlocal total
        total += out[0].numel() * layer.weight[0].numel()

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv1d | torch.nn.Linear):
            layer.register_forward_hook(count)
    network.eval()(torch.zeros(1, length))
    return total


@pytest.mark.parametrize("length", [1000, 5000, 50_000])
def test_arithmetic_is_counted(length):
    for architecture in (paper(length), PATCHES):
        network = Network(architecture, length, 4)
        assert multiply_adds(architecture, length, 4) == counted(network, length)


def test_a_hundredth_of_the_arithmetic_sees_as_far():
    assert receptive_field(PATCHES) == receptive_field(paper(5000))
    assert multiply_adds(PATCHES, 5000, 4) * 100 <= multiply_adds(paper(5000), 5000, 4)


def test_the_field_is_where_a_gradient_comes_from():
    network = Network(PATCHES, 6000, 2).eval()
    for layer in network.convolutions:
        if isinstance(layer, torch.nn.MaxPool1d):  # a mean of the two lets all values through
            layer.forward = lambda x: torch.nn.functional.avg_pool1d(x, 2)
        if isinstance(layer, torch.nn.ReLU):
            layer.forward = lambda x: x
    slices = torch.randn(1, 6000, requires_grad=True)
    seen = network.convolutions((slices / PATCHES.knee).asinh()[:, None])
    seen[0, :, seen.shape[2] // 2].sum().backward()
    reached = torch.nonzero(slices.grad[0])
    assert int(reached.max() - reached.min()) + 1 == receptive_field(PATCHES)


def waves(n, seed=0, length=300):
    """Noise of two levels of smoothness and size."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.normal(0, 0.1, (n, length))
    x[y == 1] += 3 * np.roll(x[y == 1], 1, axis=1)
    return x.astype(np.float32), y


@pytest.mark.parametrize(
    "network",
    [
        Patches(epochs=12, batch_size=16),
        pytest.param(Paper(epochs=12, batch_size=16), marks=pytest.mark.slow),
    ],
    ids=["patches", "paper"],
)
def test_they_learn(network):
    x, y = waves(160)
    fresh, truth = waves(60, seed=1)
    assert network.fit(x, y).score(fresh, truth) > 0.8


def test_the_papers_network_is_trained_and_answers():
    x, y = waves(12)
    chances = Paper(epochs=1, batch_size=4).fit(x, y).predict_proba(x)
    assert chances.shape == (12, 2)
    np.testing.assert_allclose(chances.sum(axis=1), 1)


def test_a_seed_is_a_result_and_torchs_own_stream_is_left_alone():
    x, y = waves(40)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, two = (Patches(epochs=2, seed=3).fit(x, y).predict_proba(x) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not np.array_equal(one, Patches(epochs=2, seed=4).fit(x, y).predict_proba(x))


def test_what_is_stored_answers_the_same(tmp_path):
    x, y = waves(40)
    names = np.array(["rough", "smooth"])[y]
    network = Patches(epochs=2).fit(x, names)
    loaded = Patches.load(network.save(tmp_path / "network"))
    np.testing.assert_allclose(loaded.predict_proba(x), network.predict_proba(x), atol=1e-6)
    assert set(loaded.predict(x)) <= {"rough", "smooth"}
    with pytest.raises(DataError, match="a Patches, not a Paper"):
        Paper.load(tmp_path / "network")
    (tmp_path / "network" / "network.safetensors").write_bytes(b"none")
    with pytest.raises(DataError, match="not a complete network"):
        Patches.load(tmp_path / "network")


def test_slices_are_fresh_and_of_the_nets_asked_for(tmp_path):
    zoo = synthetic_zoo(tmp_path / "zoo", nets=20)
    nets = labels_of(zoo, ["initialization"], (-1,), None).nets
    draw = fresh_slices(zoo, nets, Source(slice_length=500))
    places, rng = np.array([3, 11, 3]), np.random.default_rng(0)
    first, again = draw(places, rng), draw(places, rng)
    assert not np.array_equal(first, again)
    for place, own in zip(places, first, strict=True):
        whole = np.lib.stride_tricks.sliding_window_view(zoo.vector(nets[place], -1), 500)
        assert (whole == own).all(axis=1).any()


def test_networks_are_evaluated_by_the_protocol(tmp_path, monkeypatch):
    zoo = synthetic_zoo(tmp_path / "zoo", nets=90)
    taught = []

    def watched(self, features, codes, levels, groups):
        taught.append((set(np.unique(groups)), self.draw))
        return original(self.set_params(epochs=20, batch_size=16), features, codes, levels, groups)

    original = Patches.fit_labelings
    monkeypatch.setattr(Patches, "fit_labelings", watched)
    options = {"slice_length": 1000, "slices_per_net": 2, "folds": 3, "seeds": (0,)}
    frame = evaluate(
        zoo, properties=["initialization"], classifiers=["patches"], permutations=0, **options
    ).frame()
    own = frame.filter(frame["classifier"] == "patches")
    assert own["unit"].to_list() == ["slice", "net"]
    assert own["accuracy"].min() > 0.5
    assert len(taught) == 3
    assert all(draw is not None and len(nets) < 90 for nets, draw in taught)
    with pytest.raises(UsageError, match="patches: a model cannot hold networks"):
        fit(zoo, classifier="patches", slice_length=1000)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device here")
def test_a_device_that_is_missing_is_named():
    x, y = waves(20)
    with pytest.raises(UsageError, match="cuda: torch finds no such device; use cpu"):
        Patches(device="cuda").fit(x, y)


def test_the_names_of_networks_load_no_torch():
    code = (
        "import sys; from weightspace.meta import CLASSIFIERS; "
        "assert {'paper', 'patches'} <= set(CLASSIFIERS); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
