"""Which layer a norm belongs to, where the usual nets do not show it already."""

from __future__ import annotations

import pytest
from torch import nn

from support.usual_nets import Net, conv, entries_of, found
from weightspace.networks.roles import Entry, arrange


def owners(net: nn.Module) -> dict[str, str]:
    rows = found(arrange(entries_of(net), ordered=True))
    return {norm: layer for layer, norms in rows for norm in norms}


def test_norms_defined_after_the_dense_layers():
    net = Net(
        conv1=conv(1, 32), conv2=conv(32, 64), fc1=nn.Linear(64 * 49, 128), fc2=nn.Linear(128, 10),
        bn1=nn.BatchNorm2d(32), bn2=nn.BatchNorm2d(64),
    )  # fmt: skip
    assert owners(net) == {"bn1": "conv1", "bn2": "conv2"}


def test_norms_that_are_counted_through_or_named_after_their_layers():
    net = Net(
        fc1=nn.Linear(64 * 49, 128), fc2=nn.Linear(128, 10), norm_fc1=nn.BatchNorm1d(128),
        bn_conv2=nn.BatchNorm2d(64), conv1_bn=nn.BatchNorm2d(32), conv1=conv(1, 32),
        conv2=conv(32, 64),
    )  # fmt: skip
    assert owners(net) == {"norm_fc1": "fc1", "bn_conv2": "conv2", "conv1_bn": "conv1"}


def test_a_norm_in_a_module_of_its_own_layer():
    net = Net(
        dw=Net(conv=conv(1, 8, groups=1), norm=nn.BatchNorm2d(8)),
        conv_pw=conv(8, 16, 1), bn_pw=nn.BatchNorm2d(16),
        conv_dw=conv(1, 16), bn_dw=nn.BatchNorm2d(16),
    )  # fmt: skip
    assert owners(net) == {"dw.norm": "dw.conv", "bn_pw": "conv_pw", "bn_dw": "conv_dw"}


def test_a_sequence_with_norms_before_the_convolutions():
    net = nn.Sequential(
        nn.BatchNorm2d(3), conv(3, 8), nn.BatchNorm2d(8), nn.ReLU(), conv(8, 16),
        nn.BatchNorm2d(16), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip
    assert owners(net) == {"0": "1", "2": "1", "5": "4"}
    notes = {
        placed.entry.name: placed.reason for placed in arrange(entries_of(net), ordered=True).placed
    }
    assert notes["0.weight"] == "scale of the norm before 1.weight"
    assert notes["2.weight"] == "scale of the norm after 1.weight"


def test_preactivation_is_the_same_for_equal_and_for_new_widths():
    for takes in (8, 16):
        block = Net(
            bn1=nn.BatchNorm2d(takes), conv1=conv(takes, 16), bn2=nn.BatchNorm2d(16),
            conv2=conv(16, 16),
        )  # fmt: skip
        assert owners(block) == {"bn1": "conv1", "bn2": "conv2"}


def test_a_norm_without_a_layer_of_its_width_is_a_doubt():
    net = Net(conv1=conv(3, 8), fc=nn.Linear(8, 10), q_norm=nn.LayerNorm(5))
    arrangement = arrange(entries_of(net), ordered=False)
    assert len(arrangement.placed) == 5
    assert arrangement.doubts == (
        "no layer near it takes or gives as many channels as the norm q_norm; "
        "the most likely layer was taken",
    )


def test_one_norm_for_two_layers_is_a_doubt():
    net = Net(conv_a=conv(3, 8), conv_b=conv(8, 8), normal=nn.BatchNorm2d(8))
    (doubt,) = arrange(entries_of(net), ordered=False).doubts
    assert doubt.startswith("neither names nor widths show the layer of the norm normal")


@pytest.mark.parametrize("count", [1, 3])
def test_norms_without_any_layer_are_skipped(count):
    entries = [Entry(f"bn{k}.weight", (4,), "float32") for k in range(count)]
    arrangement = arrange(entries, ordered=True)
    assert arrangement.placed == []
    assert [n.reason for n in arrangement.skipped] == ["part of a norm, without a layer"] * count


def side(net: nn.Module, norm: str) -> str:
    """What is said of the scale of a norm, without the words that are always the same."""
    placed = arrange(entries_of(net), ordered=True).placed
    reason = next(one.reason for one in placed if one.entry.name == f"{norm}.weight")
    return reason.removeprefix("scale of the norm ").removesuffix(".weight")


def block(**norms: nn.Module) -> nn.Module:
    attention = Net(qkv=nn.Linear(16, 48), proj=nn.Linear(16, 16))
    return Net(attn=attention, mlp=Net(fc1=nn.Linear(16, 64), fc2=nn.Linear(64, 16)), **norms)


def test_where_nothing_shows_the_side_of_a_norm_neither_is_said():
    net = Net(
        h=nn.ModuleList(block(ln_1=nn.LayerNorm(16), ln_2=nn.LayerNorm(16)) for _ in range(2)),
        ln_f=nn.LayerNorm(16),
    )
    assert side(net, "h.0.ln_1") == "before or after h.0.attn.proj"
    assert side(net, "h.1.ln_2") == "before or after h.1.mlp.fc2"
    assert side(net, "ln_f") == "after h.1.mlp.fc2"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("layernorm_before", "layernorm_after"),
        ("input_layernorm", "post_attention_layernorm"),
        ("pre_attn_norm", "post_attn_norm"),
    ],
)
def test_words_for_a_side_of_attention(first, second):
    net = block(**{first: nn.LayerNorm(16), second: nn.LayerNorm(16)})
    assert side(net, first) == "before attn.qkv"
    assert side(net, second) == "after attn.proj"


def test_a_word_for_the_side_of_another_module():
    net = block(pre_feedforward_layernorm=nn.LayerNorm(16), post_mlp_norm=nn.LayerNorm(16))
    assert side(net, "pre_feedforward_layernorm") == "before mlp.fc1"
    assert side(net, "post_mlp_norm") == "after mlp.fc2"


def test_widths_show_the_side_of_a_norm():
    net = Net(
        fc1=nn.Linear(4, 16), ln1=nn.LayerNorm(16), fc2=nn.Linear(16, 16), ln2=nn.LayerNorm(16)
    )
    assert [side(net, "ln1"), side(net, "ln2")] == ["after fc1", "after fc2"]
    net = Net(
        fc1=nn.Linear(16, 16), ln1=nn.LayerNorm(16), fc2=nn.Linear(16, 2), ln2=nn.LayerNorm(16)
    )
    assert [side(net, "ln1"), side(net, "ln2")] == ["before fc1", "before fc2"]


@pytest.mark.parametrize("first", [False, True])
def test_the_norms_of_torchs_transformers_may_be_on_both_sides(first):
    net = nn.TransformerEncoderLayer(8, 2, 12, norm_first=first)
    assert side(net, "norm1").startswith("before or after")
    assert side(net, "norm2").startswith("before or after")


def test_the_norm_of_embeddings_comes_before_the_first_layer():
    net = Net(
        embeddings=Net(words=nn.Embedding(50, 16), norm=nn.LayerNorm(16)),
        layer=nn.ModuleList(block() for _ in range(2)),
        pooler=nn.Linear(16, 16),
    )
    assert side(net, "embeddings.norm") == "before layer.0.attn.qkv"
