"""Tensors that are easily taken for kernels: masks, adapters, stacks, tables; and odd kernels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from support.usual_nets import Net, entries_of
from weightspace.checkpoints import read_checkpoint
from weightspace.networks.roles import Entry, arrange


def reasons(entries: list[Entry]) -> dict[str, str]:
    return {note.name: note.reason for note in arrange(entries, ordered=False).skipped}


def used(entries: list[Entry]) -> dict[str, str]:
    return {p.entry.name: p.reason for p in arrange(entries, ordered=False).placed}


def floats(**shapes: tuple[int, ...]) -> list[Entry]:
    return [Entry(name.replace("__", "."), shape, "float32") for name, shape in shapes.items()]


def gpt2() -> list[Entry]:
    """As transformers stores it: kernels are [in, out], and each attention keeps its mask."""
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (200, 64), "wpe.weight": (128, 64)}
    for at in ("h.0.", "h.1."):
        shapes |= {at + "attn.bias": (1, 1, 128, 128), at + "attn.masked_bias": ()}
        for name, takes, gives in (
            ("attn.c_attn", 64, 192), ("attn.c_proj", 64, 64),
            ("mlp.c_fc", 64, 256), ("mlp.c_proj", 256, 64),
        ):  # fmt: skip
            shapes |= {f"{at}{name}.weight": (takes, gives), f"{at}{name}.bias": (gives,)}
        for name in ("ln_1", "ln_2"):
            shapes |= {f"{at}{name}.weight": (64,), f"{at}{name}.bias": (64,)}
    shapes |= {"ln_f.weight": (64,), "ln_f.bias": (64,)}
    return [Entry(name, shape, "float32") for name, shape in shapes.items()]


def test_the_causal_mask_of_gpt2_is_no_kernel():
    assert reasons(gpt2()) == {
        "wte.weight": "an embedding: a look-up table, not a kernel",
        "wpe.weight": "an embedding: a look-up table, not a kernel",
        **{
            f"h.{k}.attn.bias": "a causal mask, a constant of attention: not a kernel"
            for k in (0, 1)
        },
        **{f"h.{k}.attn.masked_bias": "a single value, not a tensor of a layer" for k in (0, 1)},
    }


def test_the_kernels_of_gpt2_are_in_order_and_said_to_be_stored_the_other_way_round():
    arrangement = arrange(gpt2(), ordered=True)
    assert arrangement.doubts == ()
    rows = [(p.entry.name, p.reason) for p in arrangement.placed if p.role == "weight"]
    block = [
        ("attn.c_attn", "dense kernel of query, key and value, stored as [in, out]"),
        ("attn.c_proj", "dense kernel, stored as [in, out]"),
        ("mlp.c_fc", "dense kernel, stored as [in, out]"),
        ("mlp.c_proj", "dense kernel, stored as [in, out]"),
    ]
    assert rows == [(f"h.{k}.{name}.weight", what) for k in (0, 1) for name, what in block]
    owners = {p.entry.module: p.layer for p in arrangement.placed if p.role == "scale"}
    assert owners == {"h.0.ln_1": 1, "h.0.ln_2": 3, "h.1.ln_1": 5, "h.1.ln_2": 7, "ln_f": 7}


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("attn.mask", (16, 16), "a mask"),
        ("tril", (16, 16), "a mask"),
        ("attn.causal_mask", (1, 16, 16), "a mask"),
        ("attn.bias", (16, 16), "a causal mask, a constant of attention: not a kernel"),
        ("rotary.inv_freq", (8,), "frequencies of rotary positions: constants, not weights"),
        (
            "attn.cos_cached",
            (1, 1, 9, 8),
            "frequencies of rotary positions: constants, not weights",
        ),
        ("position.pe", (1, 50, 8), "an embedding: a look-up table, not a kernel"),
        ("pos_enc.weight", (50, 8), "an embedding: a look-up table, not a kernel"),
        ("cls_token", (1, 1, 8), "an embedding: a look-up table, not a kernel"),
        ("attn.relative_position_bias_table", (169, 3), "a table of position biases, not a kernel"),
        ("relative_attention_bias.weight", (32, 8), "a table of position biases, not a kernel"),
        ("block.gamma", (1, 8, 1, 1), "values for each channel, by its name not a kernel"),
        ("mlp.experts.down_proj", (4, 8, 16), "dense kernels of 4 experts, stacked in one tensor"),
        *(
            (
                name,
                shape,
                "a standard deviation or its logarithm, not a kernel",
            )
            for name, shape in (
                ("logstd", (1, 4)),
                ("pi/logstd:0", (1, 4)),
                ("actor_logstd", (1, 4)),
                ("actor.log_std", (4,)),
                ("log_sigma", (4, 1)),
            )
        ),
        ("action_scale", (1, 4), "one row of values, by its name not a kernel"),
        ("center", (1, 64), "one row of values, by its name not a kernel"),
        ("fc.bias", (2, 7), "a bias of 2 dimensions; only biases over channels are known"),
    ],
)
def test_no_kernel_by_name_and_shape(name, shape, reason):
    entries = [*floats(fc__weight=(8, 16)), Entry(name, shape, "float32")]
    assert reasons(entries) == {name: reason}


@pytest.mark.parametrize("name", ["value.weight", "vf/w:0", "log_std.weight", "coef_", "w2"])
def test_a_kernel_of_one_output_stays_one(name):
    assert list(used([Entry(name, (1, 16), "float32")])) == [name]


def test_the_variables_of_tensorflow_are_known_by_their_last_component():
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    entries = [
        Entry("conv2d/kernel:0", (3, 3, 1, 32), "float32"),
        Entry("conv2d/bias:0", (32,), "float32"),
        *(Entry(f"batch_normalization/{name}:0", (32,), "float32") for name in names),
    ]
    assert reasons(entries) == {}
    assert used(entries)["conv2d/bias:0"] == "bias of conv2d/kernel:0"
    assert used(entries)["batch_normalization/beta:0"] == "shift of the norm after conv2d/kernel:0"


def test_a_norm_over_several_dimensions_needs_no_name():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LayerNorm([4, 6, 6]), nn.Conv2d(4, 5, 3))
    reason = "a norm of 3 dimensions; only norms over channels are known"
    assert reasons(entries_of(net)) == {"1.weight": reason, "1.bias": reason}


def test_the_embedding_that_encoder_and_decoder_share_is_no_kernel():
    entries = floats(shared__weight=(50, 8), encoder__fc__weight=(8, 8), decoder__fc__weight=(8, 8))
    assert set(used(entries)) == {"encoder.fc.weight", "decoder.fc.weight"}
    alone = floats(shared__weight=(50, 8), first__weight=(8, 50))
    assert set(used(alone)) == {"shared.weight", "first.weight"}


def test_a_dense_layer_with_the_name_of_a_table_is_known_by_its_bias():
    net = Net(patch_embed=nn.Linear(12, 8), time_embed=nn.Embedding(50, 8), head=nn.Linear(8, 3))
    assert list(used(entries_of(net))) == [
        "patch_embed.weight", "patch_embed.bias", "head.weight", "head.bias",
    ]  # fmt: skip


def test_the_patches_of_a_vision_transformer_of_flax_are_a_layer():
    entries = [
        Entry("embedding.kernel", (42, 1, 5, 5), "float32"),
        Entry("embedding.bias", (42,), "float32"),
        Entry("embed.embedding", (9, 42), "float32"),
    ]
    assert list(used(entries)) == ["embedding.kernel", "embedding.bias"]


@pytest.mark.parametrize(
    "names",
    [
        ("base.q.lora_A.weight", "base.q.lora_B.weight"),
        ("base.q.lora_A.default.weight", "base.q.lora_B.default.weight"),
        ("h.0.attn.c_attn.lora_A", "h.0.attn.c_attn.lora_B"),
        ("unet.lora_down.weight", "unet.lora_up.weight"),
        ("mid.attn1.to_q_lora.down.weight", "mid.attn1.to_q_lora.up.weight"),
        ("unet:0:down", "unet:0:up"),
    ],
)
def test_adapters_are_not_read_as_the_net(names):
    entries = [Entry(names[0], (8, 64), "float32"), Entry(names[1], (64, 8), "float32")]
    arrangement = arrange(entries, ordered=True)
    assert arrangement.placed == []
    assert {note.reason.split(",")[0] for note in arrangement.skipped} == {
        "a factor of a low-rank adapter (LoRA)"
    }


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_nets_in_one_stack_are_not_read_as_one_net(norm, bias):
    def net() -> nn.Module:
        parts: list[nn.Module] = [nn.Linear(6, 5, bias=bias), nn.Linear(5, 4, bias=bias)]
        return nn.Sequential(*parts, *[nn.BatchNorm1d(4)] * norm)

    params, buffers = torch.func.stack_module_state([net() for _ in range(3)])
    entries = [
        Entry(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in {**params, **buffers}.items()
    ]
    arrangement = arrange(entries, ordered=True)
    assert arrangement.placed == []
    assert {note.reason for note in arrangement.skipped if note.dtype == "float32"} == {
        "of 3 nets that are stacked in one file; save each net by itself"
    }


def test_one_stack_of_layers_within_a_net():
    entries = floats(
        a__weight=(8, 6), a__bias=(8,), heads__weight=(3, 4, 8), heads__bias=(3, 4),
    )  # fmt: skip
    reason = "of 3 layers that are stacked in one tensor; only single layers are known"
    assert reasons(entries) == {"heads.weight": reason, "heads.bias": reason}


def test_convolutions_without_biases_are_no_stack():
    net = nn.Sequential(*[nn.Conv1d(8, 8, 3, bias=False) for _ in range(3)])
    assert reasons(entries_of(net)) == {}


def test_recurrent_kernels_are_said_to_be_such():
    lstm = nn.LSTM(8, 8, num_layers=2, bidirectional=True, batch_first=True)
    net = Net(embedding=nn.Embedding(50, 8), lstm=lstm, fc=nn.Linear(16, 2))
    names = [p.entry.name for p in arrange(entries_of(net), ordered=True).placed]
    assert [name for name in names if ".weight" in name] == [
        *(name for name in net.state_dict() if "lstm.weight" in name),
        "fc.weight",
    ]
    notes = used(entries_of(net))
    assert notes["lstm.weight_ih_l0"] == "dense kernel of a recurrent layer, for its input"
    assert notes["lstm.weight_hh_l1"] == "dense kernel of a recurrent layer, for its state"
    assert notes["lstm.bias_ih_l0"] == "bias of lstm.weight_ih_l0"


def test_attention_with_one_kernel_for_three_says_so():
    notes = used(entries_of(nn.MultiheadAttention(8, 2)))
    assert notes["in_proj_weight"] == "dense kernel of query, key and value"
    assert notes["out_proj.weight"] == "dense kernel"


def test_a_bias_shows_which_side_of_a_kernel_is_the_output():
    entries = floats(
        dense__kernel=(6, 8), dense__bias=(8,), square__kernel=(8, 8), square__bias=(8,),
        up__weight=(8, 4, 2, 2), up__bias=(4,), conv__kernel=(3, 3, 4, 5), conv__bias=(5,),
    )  # fmt: skip
    notes = used(entries)
    assert notes["dense.kernel"] == "dense kernel, stored as [in, out]"
    assert notes["up.weight"] == "2-D transposed convolution kernel, stored as [in, out, ...]"
    assert notes["conv.kernel"] == "2-D convolution kernel, stored with its outputs last"


def test_a_file_of_gpt2_is_read(tmp_path):
    state = {entry.name: torch.ones(entry.shape) for entry in gpt2()}
    torch.save(state, tmp_path / "gpt2.bin")
    checkpoint = read_checkpoint(tmp_path / "gpt2.bin")
    assert not any(note.name.endswith(".attn.bias") for note in checkpoint.used)
    assert checkpoint.layout.indices("conv").size == 0
