"""`sequence`: tokens of layers whatever their number, a network on them, its training told of."""

from __future__ import annotations

import threading

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.utils.estimator_checks import parametrize_with_checks

from support.populations import synthetic_zoo
from weightspace.errors import DataError, UsageError
from weightspace.features import LAYERS_NAMES, TOKENS, TOKENS_NAMES, layers, tokens
from weightspace.learners.neural import Patches, Sequence
from weightspace.meta import evaluate, fit
from weightspace.meta.design.slices import Source
from weightspace.meta.design.whole import token_rows
from weightspace.networks import Plan
from weightspace.progress import Together
from weightspace.space import Recipe

QUICK = Sequence(epochs=15, batch_size=16, learning_rate=5e-3, tokens=2)


# None is expected to fail. Two skip themselves here: they need pandas and SCIPY_ARRAY_API.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.slow
@parametrize_with_checks([QUICK])
def test_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


def net(depth, seed=0, **values):
    layout = Plan.from_recipe(
        Recipe(dataset="any", input_size=16, depth_conv=depth, blocks=2, **values)
    ).layout()
    rng = np.random.default_rng(seed)
    return rng.normal(0.02, 0.1, layout.size).astype(np.float32), layout


def seen(row, part, place, role="weight", what="log_spread"):
    return row[TOKENS_NAMES.index(f"{part}_{place}_{role}_{what}")]


def spread(vector, layout, layer):
    spec = next(t for t in layout.tensors if t.name == f"conv{layer}.weight")
    return np.log10(vector[spec.offset : spec.stop].astype(np.float64).std() + 1e-8)


def test_layers_stand_at_their_relative_depths():
    for depth, places in (
        (5, (1, 2, 3, 4, 5)),
        (3, (1, 1.5, 2, 2.5, 3)),
        (2, (1, 1.25, 1.5, 1.75, 2)),
    ):
        vector, layout = net(depth)
        row = tokens(vector, layout)
        own = [spread(vector, layout, i + 1) for i in range(depth)]
        for place, layer in enumerate(places):
            wanted = np.interp(layer, np.arange(1, depth + 1), own)
            assert seen(row, "conv", place) == pytest.approx(wanted, abs=1e-5)


def test_of_many_layers_each_is_seen():
    vector, layout = net(7)
    plain = tokens(vector, layout)
    for layer in range(1, 8):
        changed = vector.copy()
        spec = next(t for t in layout.tensors if t.name == f"conv{layer}.weight")
        changed[spec.offset : spec.stop] *= 2
        assert not np.array_equal(tokens(changed, layout), plain)
    assert seen(plain, "conv", 0) == pytest.approx(
        np.average([spread(vector, layout, i) for i in (1, 2)], weights=[1.5, 0.5]),
        abs=1e-5,
    )


def test_the_row_is_as_wide_for_every_net_and_its_ends_are_those_of_layers():
    rows = {}
    for depth in (2, 5):
        vector, layout = net(depth)
        rows[depth] = tokens(vector, layout)
        whole = layers(vector, layout)
        for place, name in ((0, "first"), (4, "last")):
            for role, what in (("weight", "kurtosis"), ("bias", "mean")):
                wanted = whole[LAYERS_NAMES.index(f"fc_{name}_{role}_{what}")]
                assert seen(rows[depth], "fc", place, role, what) == pytest.approx(wanted)
        norm = whole[LAYERS_NAMES.index("fc_first_running_var_q50")]
        assert seen(rows[depth], "fc", 0, "running_var", "q50") == pytest.approx(norm)
        # The output layer has no norm.
        assert seen(rows[depth], "fc", 4, "running_var", "q50") == 0
    assert {row.shape for row in rows.values()} == {(len(TOKENS_NAMES),)}
    assert len(TOKENS_NAMES) % TOKENS == 0


def test_what_is_not_looked_at_reads_nothing():
    vector, layout = net(3)
    conv = tokens(vector, layout, part="conv", running_stats=False)
    gone = [n.startswith("fc_") or "_running_" in n for n in TOKENS_NAMES]
    assert not conv[gone].any()
    assert conv[~np.array(gone)].any()


def test_rows_of_a_zoo_are_the_tokens_of_its_vectors(tmp_path):
    zoo = synthetic_zoo(tmp_path / "zoo", nets=6)
    nets = zoo.nets["net"].to_list()
    rows, owners = token_rows(zoo, nets, Source(100, (1, -1), "fc", running_stats=False))
    assert owners.tolist() == sorted(2 * list(range(6)))
    wanted = tokens(zoo.vector(nets[2], 1), zoo.layout(nets[2]), part="fc", running_stats=False)
    np.testing.assert_array_equal(rows[4], wanted)


def ordered(n, seed=0):
    """Two tokens of five numbers; the class is whether the first one's sum is the larger."""
    x = np.random.default_rng(seed).normal(size=(n, 10)) * np.geomspace(1e-3, 1e3, 10)
    scaled = x / np.geomspace(1e-3, 1e3, 10)
    return x.astype(np.float32), (scaled[:, :5].sum(1) > scaled[:, 5:].sum(1)).astype(int)


def test_it_tells_its_tokens_apart():
    x, y = ordered(200)
    fresh, truth = ordered(200, seed=1)
    assert QUICK.fit(x, y).score(fresh, truth) > 0.85


def test_a_seed_is_a_result_and_torchs_own_stream_is_left_alone():
    x, y = ordered(40)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, two = (Sequence(epochs=2, seed=3).fit(x, y).predict_proba(x) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not np.array_equal(one, Sequence(epochs=2, seed=4).fit(x, y).predict_proba(x))


def test_what_is_stored_answers_the_same_and_is_read_with_suspicion(tmp_path):
    x, y = ordered(40)
    network = Sequence(epochs=2, tokens=3).fit(x, np.array(["no", "yes"])[y])
    folder = network.save(tmp_path / "network")
    np.testing.assert_allclose(
        Sequence.load(folder).predict_proba(x), network.predict_proba(x), atol=1e-6
    )
    with pytest.raises(DataError, match="a Sequence, not a Patches"):
        Patches.load(folder)
    file = folder / "network.safetensors"
    state = load_file(file)
    save_file(state | {"places": torch.full_like(state["places"], torch.nan)}, file)
    with pytest.raises(DataError, match=r"not a complete network \(a weight is not finite"):
        Sequence.load(folder)
    save_file(state | {"centre": state["centre"][:-1].clone()}, file)
    with pytest.raises(DataError, match="not a complete network"):
        Sequence.load(folder)


def test_it_is_evaluated_by_the_protocol_and_says_how_far_it_is(tmp_path, monkeypatch):
    zoo = synthetic_zoo(tmp_path / "zoo", nets=60)
    original = Sequence.fit_labelings

    def quick(self, *data):
        return original(self.set_params(epochs=15, batch_size=16, learning_rate=5e-3), *data)

    monkeypatch.setattr(Sequence, "fit_labelings", quick)
    told = []
    names = ["initialization", "dataset"]
    options = {"slice_length": 1000, "slices_per_net": 1, "folds": 3, "seeds": (0, 1)}
    frame = evaluate(
        zoo, properties=names, classifiers=["sequence"], permutations=0, **options,
        progress=lambda *said: told.append(said),
    ).frame()  # fmt: skip
    own = frame.filter(pl.col("classifier") == "sequence").sort("property").to_dicts()
    assert [row["unit"] for row in own] == ["net", "net"]
    assert own[1]["low"] > own[1]["chance"]
    own = [(done, total) for task, done, total in told if task == "training sequence"]
    # Two seeds, three folds, two properties, fifteen epochs: one after the other, none lost.
    assert own == [(done, 180) for done in range(1, 181)]
    with pytest.raises(UsageError, match="sequence: a model cannot hold networks"):
        fit(zoo, classifier="sequence", slice_length=1000)


def test_pieces_side_by_side_add_up():
    told = []
    together = Together(lambda *said: told.append(said), "training", 4)

    def piece(end):
        for done in range(1, end + 1):
            together("epochs", done, end)

    def two_in_a_row():
        piece(5)
        piece(5)

    threads = [threading.Thread(target=two_in_a_row) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [("training", done, 20) for done in range(1, 21)]
