"""The order of layers and the layers of norms: the same for every order of a file."""

from __future__ import annotations

import random
import time

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from support.usual_nets import NETS, Net, conv, entries_of, found
from weightspace.checkpoints import read_checkpoint
from weightspace.networks.roles import Entry, arrange


def kernels(*rows: tuple[str, tuple[int, ...]]) -> list[Entry]:
    return [Entry(f"{name}.weight", shape, "float32") for name, shape in rows]


def order(entries: list[Entry], *, ordered: bool = True) -> list[str]:
    return [name for name, _ in found(arrange(entries, ordered=ordered))]


@pytest.mark.parametrize("name", NETS)
def test_layers_and_norms_are_in_the_order_of_the_computation(name):
    net, truth = NETS[name]()
    arrangement = arrange(entries_of(net), ordered=True)
    assert found(arrangement) == truth
    assert arrangement.doubts == ()


@pytest.mark.parametrize("name", NETS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(), ordered=st.booleans())
def test_the_order_in_the_file_is_not_used(name, seed, ordered):
    net, _ = NETS[name]()
    entries = entries_of(net)
    expected = arrange(entries, ordered=False)
    random.Random(seed).shuffle(entries)
    assert arrange(entries, ordered=ordered).placed == expected.placed


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_set_of_tensors_is_read_in_two_ways(data):
    step = st.sampled_from(
        [
            "conv1",
            "conv2",
            "fc",
            "bn1",
            "bn",
            "a",
            "b",
            "0",
            "1",
            "2",
            "up",
            "up2",
            "q",
            "k",
            "head",
        ]
    )
    names = st.lists(step, min_size=1, max_size=3).map(".".join)
    side = st.sampled_from([1, 2, 3, 4, 8])
    shapes = st.lists(side, min_size=1, max_size=4).map(tuple)
    leaf = st.sampled_from(["weight", "bias", "running_mean", "gamma", "lora_A"])
    rows = data.draw(st.dictionaries(st.tuples(names, leaf), shapes, min_size=1, max_size=14))
    entries = [Entry(f"{name}.{leaf}", shape, "float32") for (name, leaf), shape in rows.items()]
    shuffled = data.draw(st.permutations(entries))
    one, other = arrange(entries, ordered=True), arrange(shuffled, ordered=False)
    assert one.placed == other.placed
    assert len(one.placed) + len(one.skipped) == len(entries)
    assert set(one.skipped) == set(other.skipped)
    assert set(other.doubts) <= set(one.doubts)


@pytest.mark.parametrize("name", ["unnumbered", "norms last", "densenet", "wide resnet"])
def test_both_forms_give_one_vector(tmp_path, name):
    net, _ = NETS[name]()
    generator = torch.Generator().manual_seed(0)
    state = {
        key: torch.randn(value.shape, generator=generator) if value.is_floating_point() else value
        for key, value in net.state_dict().items()
    }
    torch.save(state, tmp_path / "net.pt")
    safetensors.torch.save_file(state, tmp_path / "net.safetensors")
    one, other = (read_checkpoint(tmp_path / f"net{form}") for form in (".pt", ".safetensors"))
    assert one.layout == other.layout
    assert one.vector.tobytes() == other.vector.tobytes()


def test_numbers_count_as_people_count():
    net = nn.Sequential(*[nn.Linear(4, 4) for _ in range(12)])
    assert order(entries_of(net)) == [str(number) for number in range(12)]
    named = kernels(*[(f"conv{number}", (4, 4, 3, 3)) for number in (10, 2, 1, 11)])
    assert order(named) == ["conv1", "conv2", "conv10", "conv11"]


def test_letters_after_numbers_count_too():
    names = ["conv1", "mixed_3a", "mixed_3b", "mixed_4a", "mixed_4b", "mixed_10a"]
    assert order(kernels(*[(name, (8, 8, 1, 1)) for name in names[::-1]])) == names


def test_a_second_digit_counts_layers_side_by_side_where_their_number_is_missing():
    """As in PyTorch's example of a variational autoencoder: fc21 and fc22 are the code."""
    rows = kernels(
        ("fc1", (40, 78)), ("fc21", (2, 40)), ("fc22", (2, 40)), ("fc3", (40, 2)), ("fc4", (78, 40))
    )  # fmt: skip
    for ordered in (True, False):
        arrangement = arrange(rows, ordered=ordered)
        assert [name for name, _ in found(arrangement)] == ["fc1", "fc21", "fc22", "fc3", "fc4"]
        assert arrangement.doubts == ()
    for numbers in [(2, 3, 4, 5, 6, 7, 8, 9, 10, 11), (1, 3, 11, 21), (1, 2, 4, 22)]:
        names = [f"fc{number}" for number in numbers]
        assert order(kernels(*[(name, (4, 4)) for name in names[::-1]])) == names


def test_dense_connections_within_one_module():
    """The transition takes what the last block takes and gives, and could feed the third block."""
    blocks = {
        f"block{k}": Net(conv1=conv(8 + 4 * k, 16, 1), conv2=conv(16, 4)) for k in range(1, 5)
    }
    net = Net(conv=conv(3, 12), stage=Net(**blocks, transition=Net(conv=conv(28, 20, 1))))
    expected = [f"stage.block{k}.conv{n}" for k in range(1, 5) for n in (1, 2)]
    arrangement = arrange(entries_of(net), ordered=True)
    assert [name for name, _ in found(arrangement)] == ["conv", *expected, "stage.transition.conv"]
    assert arrangement.doubts == ()


def test_a_flattened_width_leads_from_convolutions_to_dense_layers():
    rows = kernels(
        ("a", (10, 20)), ("x", (20, 12 * 25)), ("y", (12, 8, 5, 5)), ("z", (8, 3, 5, 5))
    )  # fmt: skip
    assert order(rows) == ["z", "y", "x", "a"]


def test_the_width_that_is_needed_again_is_kept_first():
    rows = kernels(("a", (10, 8)), ("m", (8, 8)), ("x", (8, 4)), ("z", (4, 3)))
    assert order(rows) == ["z", "x", "m", "a"]


def test_what_joins_two_branches_takes_twice_their_width():
    """As in ShuffleNet, whose last convolution is conv2, and in trees of blocks with a root."""
    halves = [Net(conv1=conv(takes, takes), conv2=conv(takes, takes)) for takes in (8, 16)]
    net = Net(
        conv1=conv(3, 8), layer1=halves[0], layer2=halves[1], conv2=conv(32, 64, 1),
        linear=nn.Linear(64, 10),
    )  # fmt: skip
    assert order(entries_of(net)) == [
        "conv1", "layer1.conv1", "layer1.conv2", "layer2.conv1", "layer2.conv2", "conv2", "linear",
    ]  # fmt: skip
    tree = Net(root=conv(16, 8, 1), right=conv(8, 8), left=conv(4, 8))
    assert order(entries_of(tree)) == ["left", "right", "root"]


def test_a_dead_end_waits_although_it_fits_at_once():
    """Pooled to one pixel, the last convolution's channels are as many as the output takes."""
    net = Net(
        conv1=conv(1, 2), conv2=conv(2, 4), fc1=nn.Linear(16, 8), fc2=nn.Linear(8, 4),
        output=nn.Linear(4, 10),
    )  # fmt: skip
    assert order(entries_of(net)) == ["conv1", "conv2", "fc1", "fc2", "output"]


def test_convolutions_of_sound_come_before_a_stack_whose_width_is_a_multiple_of_theirs():
    net = Net(
        layers=nn.ModuleList(Net(fc1=nn.Linear(16, 24), fc2=nn.Linear(24, 16)) for _ in range(2)),
        conv1=nn.Conv1d(8, 16, 3), conv2=nn.Conv1d(16, 16, 3),
    )  # fmt: skip
    layers = [name for name, _ in found(arrange(entries_of(net), ordered=False))]
    assert layers[:3] == ["conv1", "conv2", "layers.0.fc1"]


def test_a_module_list_beside_a_stem_and_a_head():
    net = Net(
        out=nn.Linear(8, 3), layers=nn.ModuleList([nn.Linear(8, 8) for _ in range(11)]),
        inp=nn.Linear(5, 8),
    )  # fmt: skip
    assert order(entries_of(net)) == ["inp", *(f"layers.{k}" for k in range(11)), "out"]


def test_branches_of_attention_keep_their_usual_order():
    net = Net(
        out_proj=nn.Linear(8, 8), k_proj=nn.Linear(8, 2), v_proj=nn.Linear(8, 2),
        q_proj=nn.Linear(8, 8),
    )  # fmt: skip
    assert order(entries_of(net)) == ["q_proj", "k_proj", "v_proj", "out_proj"]
    gated = Net(down_proj=nn.Linear(16, 8), up_proj=nn.Linear(8, 16), gate_proj=nn.Linear(8, 16))
    assert order(entries_of(gated)) == ["gate_proj", "up_proj", "down_proj"]


def test_the_branches_of_squeezenet_follow_what_feeds_both():
    """Between the two branches, `squeeze` would fit at both ends."""
    fire = Net(expand3x3=conv(4, 16), expand1x1=conv(4, 16, 1), squeeze=conv(16, 4, 1))
    assert order(entries_of(fire)) == ["squeeze", "expand1x1", "expand3x3"]


def test_the_parts_of_a_block_in_one_module_as_gguf_names_them():
    names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down")
    sizes = ((8, 8), (8, 8), (8, 8), (8, 8), (24, 8), (8, 24))
    rows = [(f"blk.0.{name}", size) for name, size in zip(names, sizes, strict=True)]
    assert order(kernels(*sorted(rows)), ordered=False) == [name for name, _ in rows]


def test_up_comes_before_down_without_a_gate_too():
    rows = [("mlp.up_proj", (24, 8)), ("mlp.down_proj", (8, 24))]
    assert order(kernels(*reversed(rows))) == ["mlp.up_proj", "mlp.down_proj"]


def test_what_the_alphabet_decides_is_a_doubt_in_both_forms():
    net = Net(second=nn.Linear(8, 8), a_other=nn.Linear(8, 8))
    torch_order, none = (arrange(entries_of(net), ordered=flag) for flag in (True, False))
    assert torch_order.placed == none.placed
    assert none.doubts == (
        "neither names nor shapes say whether a_other.weight comes before second.weight; "
        "the alphabet decided",
    )
    assert torch_order.doubts == (
        *none.doubts,
        "the file stores its layers in another order, with second.weight before a_other.weight",
    )


def test_a_chain_leaves_no_doubt_even_if_the_definition_has_another_order():
    for name in ("dense first", "letters", "autoencoder"):
        net, _ = NETS[name]()
        assert arrange(entries_of(net), ordered=True).doubts == ()


def test_1202_layers_take_less_than_two_seconds():
    parts: dict[str, nn.Module] = {"conv1": conv(3, 2), "bn1": nn.BatchNorm2d(2)}
    entries = entries_of(Net(**parts))
    block = entries_of(Net(conv1=conv(2, 2), bn1=nn.BatchNorm2d(2), conv2=conv(2, 2),
                           bn2=nn.BatchNorm2d(2)))  # fmt: skip
    for stage in (1, 2, 3):
        for number in range(200):
            at = f"layer{stage}.{number}."
            entries += [Entry(at + e.name, e.shape, e.dtype) for e in block]
    entries += entries_of(Net(linear=nn.Linear(2, 10)))
    begin = time.process_time()
    arrangement = arrange(entries, ordered=True)
    assert time.process_time() - begin < 2
    assert arrangement.doubts == ()
    rows = found(arrangement)
    assert len(rows) == 1202
    assert all(norms == (name.replace("conv", "bn"),) for name, norms in rows[:-1])


@pytest.mark.parametrize("kind", ["one width", "a chain", "flattened", "one module each"])
def test_thousands_of_unnumbered_layers_take_a_time_for_each(kind):
    def word(number: int) -> str:
        return "".join(chr(97 + int(digit)) for digit in str(number))

    def rows(count: int) -> list[Entry]:
        shapes = {
            "one width": lambda k: (4, 4),
            "a chain": lambda k: (k + 2, k + 1),
            "flattened": lambda k: (7, 64 * k + 64) if k % 2 else (64, 64 * k + 1, 3, 3),
            "one module each": lambda k: (4, 4),
        }
        at = ".a.b" if kind == "one module each" else ""
        return [
            Entry(f"m.{word(k)}{at}.weight", shapes[kind](k), "float32") for k in range(count)
        ] + [Entry(f"m.n{word(k)}.gamma", (4,), "float32") for k in range(count)]

    def seconds(count: int) -> float:
        entries = rows(count)
        begin = time.process_time()
        assert len(arrange(entries, ordered=True).placed) == len(entries)
        return time.process_time() - begin

    most = min(seconds(4000) for _ in range(2))
    assert most < 16 * min(seconds(500) for _ in range(3)) + 0.5
