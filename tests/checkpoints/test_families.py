"""State dicts of well-known families, made small: what is a layer, its order, its norms, doubts."""

from __future__ import annotations

import pytest
from torch import nn

from support.usual_nets import Net, Truth, conv, entries_of, found
from weightspace.networks.roles import Arrangement, Entry, arrange

Shapes = dict[str, tuple[int, ...]]


def dense(name: str, takes: int, gives: int, bias: bool = True) -> Shapes:
    made: Shapes = {f"{name}.weight": (gives, takes)}
    return made | {f"{name}.bias": (gives,)} if bias else made


def conv2d(name: str, takes: int, gives: int, side: int = 3, groups: int = 1) -> Shapes:
    return {f"{name}.weight": (gives, takes // groups, side, side)}


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def batch_norm(name: str, width: int) -> Shapes:
    return norm(name, width) | {
        f"{name}.{statistic}": (width,) for statistic in ("running_mean", "running_var")
    }


def of(shapes: Shapes, ordered: bool = True) -> Arrangement:
    entries = [Entry(name, shape, "float32") for name, shape in shapes.items()]
    return arrange(entries, ordered=ordered)


def rows(shapes: Shapes) -> Truth:
    return found(of(shapes))


def reasons(shapes: Shapes) -> dict[str, str]:
    return {note.name: note.reason for note in of(shapes).skipped}


def test_the_decoder_of_a_transformer():
    layer = nn.TransformerDecoderLayer(32, 4, 64, batch_first=True)
    assert found(arrange(entries_of(layer), ordered=True)) == [
        ("self_attn", ()), ("self_attn.out_proj", ("norm1",)),
        ("multihead_attn", ()), ("multihead_attn.out_proj", ("norm2",)),
        ("linear1", ()), ("linear2", ("norm3",)),
    ]  # fmt: skip


def test_norms_that_count_all_layers_of_an_xception():
    shapes: Shapes = {}
    for number, (takes, gives, side) in enumerate(((1, 8, 3), (8, 8, 3), (8, 16, 1)), 1):
        shapes |= conv2d(f"conv2d_{number}", takes, gives, side)
    for number, takes in ((1, 8), (2, 16)):
        shapes |= conv2d(f"separable_conv2d_{number}.depthwise", takes, takes, 3, takes)
        shapes |= conv2d(f"separable_conv2d_{number}.pointwise", takes, 16, 1)
    for number, width in enumerate((8, 8, 16, 16, 16), 1):
        shapes |= batch_norm(f"batch_normalization_{number}", width)
    assert {norms: layer for layer, norms in rows(shapes) if norms} == {
        ("batch_normalization_1",): "conv2d_1",
        ("batch_normalization_2",): "conv2d_2",
        ("batch_normalization_3",): "conv2d_3",
        ("batch_normalization_4",): "separable_conv2d_1.pointwise",
        ("batch_normalization_5",): "separable_conv2d_2.pointwise",
    }


def test_efficientnet_of_timm():
    shapes = conv2d("conv_stem", 3, 32) | batch_norm("bn1", 32)
    at = "blocks.0.0."
    shapes |= conv2d(at + "conv_dw", 32, 32, 3, 32) | batch_norm(at + "bn1", 32)
    shapes |= conv2d(at + "se.conv_reduce", 32, 8, 1) | conv2d(at + "se.conv_expand", 8, 32, 1)
    shapes |= conv2d(at + "conv_pw", 32, 16, 1) | batch_norm(at + "bn2", 16)
    expected: Truth = [
        ("conv_stem", ("bn1",)),
        (at + "conv_dw", (at + "bn1",)),
        (at + "se.conv_reduce", ()),
        (at + "se.conv_expand", ()),
        (at + "conv_pw", (at + "bn2",)),
    ]
    takes, gives = 16, 24
    for index in (0, 1):
        at = f"blocks.1.{index}."
        wide, squeezed = 6 * takes, takes // 4
        shapes |= conv2d(at + "conv_pw", takes, wide, 1) | batch_norm(at + "bn1", wide)
        shapes |= conv2d(at + "conv_dw", wide, wide, 3, wide) | batch_norm(at + "bn2", wide)
        shapes |= conv2d(at + "se.conv_reduce", wide, squeezed, 1)
        shapes |= conv2d(at + "se.conv_expand", squeezed, wide, 1)
        shapes |= conv2d(at + "conv_pwl", wide, gives, 1) | batch_norm(at + "bn3", gives)
        expected += [
            (at + "conv_pw", (at + "bn1",)), (at + "conv_dw", (at + "bn2",)),
            (at + "se.conv_reduce", ()), (at + "se.conv_expand", ()),
            (at + "conv_pwl", (at + "bn3",)),
        ]  # fmt: skip
        takes = gives
    shapes |= conv2d("conv_head", 24, 64, 1) | batch_norm("bn2", 64) | dense("classifier", 64, 10)
    expected += [("conv_head", ("bn2",)), ("classifier", ())]
    assert rows(shapes) == expected
    assert of(shapes).doubts == ()


def convnext(gamma: str) -> Shapes:
    shapes = conv2d("stem.0", 3, 16, 4) | norm("stem.1", 16)
    for stage, width in ((0, 16), (1, 32)):
        if stage:
            shapes |= norm("stages.1.downsample.0", 16)
            shapes |= conv2d("stages.1.downsample.1", 16, 32, 2)
        at = f"stages.{stage}.blocks.0."
        shapes |= {at + gamma: (width,)} | conv2d(at + "conv_dw", width, width, 7, width)
        shapes |= norm(at + "norm", width) | dense(at + "mlp.fc1", width, 4 * width)
        shapes |= dense(at + "mlp.fc2", 4 * width, width)
    return shapes | norm("head.norm", 32) | dense("head.fc", 32, 10)


@pytest.mark.parametrize("gamma", ["gamma", "ls.gamma", "layer_scale.gamma"])
def test_the_layer_scale_of_convnext_is_no_norm(gamma):
    assert reasons(convnext(gamma)) == {
        f"stages.{k}.blocks.0.{gamma}": "a scale of a layer's channels, not a norm" for k in (0, 1)
    }
    names = [name for name, _ in rows(convnext(gamma))]
    assert names.index("stages.1.downsample.1") < names.index("stages.1.blocks.0.conv_dw")
    assert of(convnext(gamma)).doubts == ()


def test_a_norm_with_a_gamma_alone_is_one():
    assert rows({**dense("fc", 8, 8), "norm.gamma": (8,)}) == [("fc", ("norm",))]


def test_the_layers_of_facebooks_convnext_take_turns():
    shapes = conv2d("downsample_layers.0.0", 3, 16, 4) | conv2d("downsample_layers.1.1", 16, 32, 2)
    for stage, width in ((0, 16), (1, 32)):
        at = f"stages.{stage}.0."
        shapes |= conv2d(at + "dwconv", width, width, 7, width) | dense(at + "pwconv1", width, 64)
        shapes |= dense(at + "pwconv2", 64, width)
    assert of(shapes | dense("head", 32, 10)).doubts == (
        "the modules of downsample_layers.0.0.weight and of stages.1.0.pwconv2.weight may take "
        "turns; read in a row",
    )


def test_the_upward_step_of_a_u_net_comes_before_its_convolutions():
    shapes = conv2d("inc.0", 3, 16) | conv2d("down1.0", 16, 32)
    shapes |= {"up1.up.weight": (32, 16, 2, 2), "up1.up.bias": (16,)}
    shapes |= conv2d("up1.conv.0", 32, 16) | conv2d("up1.conv.2", 16, 16) | conv2d("outc", 16, 2)
    assert [name for name, _ in rows(shapes)] == [
        "inc.0", "down1.0", "up1.up", "up1.conv.0", "up1.conv.2", "outc",
    ]  # fmt: skip
    assert of(shapes).doubts == ()


def test_a_net_from_image_to_image_begins_with_the_image():
    shapes = conv2d("conv_in", 3, 32) | conv2d("down_blocks.0.conv1", 32, 64)
    shapes |= conv2d("mid_block.conv1", 64, 64) | conv2d("up_blocks.0.conv1", 128, 32)
    shapes |= conv2d("conv_out", 32, 3)
    assert [name for name, _ in rows(shapes)] == [
        "conv_in", "down_blocks.0.conv1", "mid_block.conv1", "up_blocks.0.conv1", "conv_out",
    ]  # fmt: skip


@pytest.mark.parametrize("layer", [nn.GRU, nn.LSTM, nn.RNN])
def test_a_recurrent_layer_gives_its_state(layer):
    net = Net(fc=nn.Linear(32, 5), cell=layer(10, 32), norm=nn.LayerNorm(32))
    arrangement = arrange(entries_of(net), ordered=False)
    assert [placed.entry.name for placed in arrangement.placed if placed.role == "weight"] == [
        "cell.weight_ih_l0", "cell.weight_hh_l0", "fc.weight",
    ]  # fmt: skip


def test_a_cell_has_its_input_first():
    net = Net(cell=nn.LSTMCell(10, 32), out=nn.Linear(32, 5))
    arrangement = arrange(entries_of(net), ordered=True)
    kernels = [placed for placed in arrangement.placed if placed.role == "weight"]
    assert [(placed.entry.name, placed.reason) for placed in kernels] == [
        ("cell.weight_ih", "dense kernel of a recurrent layer, for its input"),
        ("cell.weight_hh", "dense kernel of a recurrent layer, for its state"),
        ("out.weight", "dense kernel"),
    ]
    assert arrangement.doubts == ()


def test_the_gated_layers_of_a_mixture_of_experts():
    at = "layers.0."
    shapes: Shapes = {}
    for name in ("q", "k", "v", "o"):
        shapes |= dense(f"{at}self_attn.{name}_proj", 64, 64, bias=False)
    shapes |= dense(at + "block_sparse_moe.gate", 64, 2, bias=False)
    for expert in (0, 1):
        inner = f"{at}block_sparse_moe.experts.{expert}."
        shapes |= dense(inner + "w1", 64, 172, bias=False)
        shapes |= dense(inner + "w2", 172, 64, bias=False)
        shapes |= dense(inner + "w3", 64, 172, bias=False)
    names = [name.removeprefix(at + "block_sparse_moe.") for name, _ in rows(shapes)][4:]
    assert names == [
        "gate", *(f"experts.{k}.{name}" for k in (0, 1) for name in ("w1", "w3", "w2")),
    ]  # fmt: skip


def test_three_layers_of_another_word_stay_in_their_order():
    shapes = dense("fc1", 8, 4) | dense("fc2", 4, 8) | dense("fc3", 8, 4)
    assert [name for name, _ in rows(shapes)] == ["fc1", "fc2", "fc3"]


def test_the_norm_of_the_embeddings_comes_before_the_encoder():
    at = "bert.encoder.layer.0."
    shapes = {"bert.embeddings.word_embeddings.weight": (50, 8)}
    shapes |= norm("bert.embeddings.LayerNorm", 8)
    for name in ("query", "key", "value"):
        shapes |= dense(f"{at}attention.self.{name}", 8, 8)
    shapes |= dense(at + "attention.output.dense", 8, 8)
    shapes |= norm(at + "attention.output.LayerNorm", 8) | dense(at + "intermediate.dense", 8, 32)
    shapes |= dense(at + "output.dense", 32, 8) | norm(at + "output.LayerNorm", 8)
    owners = {module: layer for layer, norms in rows(shapes) for module in norms}
    assert owners["bert.embeddings.LayerNorm"] == at + "attention.self.query"
    assert owners[at + "output.LayerNorm"] == at + "output.dense"
    placed = {one.entry.name: one.reason for one in of(shapes).placed}
    assert placed["bert.embeddings.LayerNorm.weight"].startswith("scale of the norm before ")


def test_the_norms_of_clip_do_not_belong_to_its_projection():
    at = "visual.transformer.resblocks.0."
    shapes = {"visual.proj": (96, 64)} | conv2d("visual.conv1", 3, 96, 32)
    shapes |= norm("visual.ln_pre", 96) | dense(at + "attn.out_proj", 96, 96)
    shapes |= {at + "attn.in_proj_weight": (288, 96), at + "attn.in_proj_bias": (288,)}
    shapes |= norm(at + "ln_1", 96) | dense(at + "mlp.c_fc", 96, 384)
    shapes |= dense(at + "mlp.c_proj", 384, 96) | norm(at + "ln_2", 96) | norm("visual.ln_post", 96)
    arrangement = of(shapes)
    owners = {
        p.entry.module: p.reason.split(" norm ")[1] for p in arrangement.placed if p.role == "scale"
    }
    assert owners == {
        "visual.ln_pre": "after visual.conv1.weight",
        at + "ln_1": f"before or after {at}attn.out_proj.weight",
        at + "ln_2": f"before or after {at}mlp.c_proj.weight",
        "visual.ln_post": "before or after visual.proj",
    }


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (("generator", "discriminator"), "generator and discriminator"),
        (("netG.main", "netD.main"), "netG and netD"),
        (("gan.G_AB", "gan.D_A"), "G_AB and D_A"),
        (("actor", "critic"), "actor and critic"),
        (("model.pi", "model.vf"), "pi and vf"),
        (("model/pi", "model/values_fn"), "pi and values_fn"),
        (("policy", "q1", "q2"), "policy and q1"),
    ],
)
def test_two_nets_in_one_dict_are_said(names, pair):
    shapes: Shapes = {}
    for name in names:
        shapes |= dense(f"{name}.0", 8, 16) | dense(f"{name}.2", 16, 4)
    assert f"{pair} may be nets of their own; they are read as one, in a row" in of(shapes).doubts


@pytest.mark.parametrize("names", [("encoder", "decoder"), ("features", "classifier")])
def test_the_parts_of_one_net_are_not_called_nets(names):
    first, second = names
    shapes = dense(f"{first}.0", 8, 4) | dense(f"{second}.0", 4, 8)
    assert of(shapes).doubts == ()


def test_slopes_and_norms_that_look_alike():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.PReLU(8), nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4))
    assert arrange(entries_of(net), ordered=True).doubts == (
        "1, read as a norm without a shift, may be slopes of a PReLU",
    )
    net = Net(conv1=conv(3, 8), relu1=nn.PReLU(8), conv2=conv(8, 4), rms=nn.RMSNorm(4))
    arrangement = arrange(entries_of(net), ordered=True)
    assert arrangement.doubts == ()
    assert [(note.name, note.reason) for note in arrangement.skipped] == [
        ("relu1.weight", "a slope of an activation")
    ]


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("conv1.weight_fake_quant.scale", (8,),
         "a parameter of quantisation: not a kernel or a norm"),
        ("quant.activation_post_process.min_val", (8,),
         "a parameter of quantisation: not a kernel or a norm"),
        ("criterion.weight", (10,), "weights of classes in a loss, not a norm"),
        ("ce_loss.weight", (10,), "weights of classes in a loss, not a norm"),
        ("fc.weight_sigma", (8, 8), "the deviation or the noise of a random weight, not a kernel"),
        ("fc.bias_epsilon", (8,), "the deviation or the noise of a random weight, not a kernel"),
        ("fc.rho_weight", (8, 8), "the deviation or the noise of a random weight, not a kernel"),
        ("fc.prior_weight_mu", (8, 8), "a prior of a random weight, not a kernel"),
        ("vq._ema_w", (512, 32), "a moving average of a codebook"),
        ("queue", (128, 4096), "a queue of features, not a kernel"),
        ("mixer.A_log", (128, 16), "a state matrix of a state space model, not a dense kernel"),
        ("conv.att_src", (1, 8, 8), "vectors of graph attention, not a kernel"),
        ("layers.0.grid", (4, 12), "a grid of places: constants, not weights"),
        ("layers.0.spline_weight", (8, 4, 8), "weights of splines, not a kernel"),
        ("h0", (2, 1, 16), "a state to begin with"),
        ("quantizer.codebook", (512, 32), "an embedding: a look-up table, not a kernel"),
        ("src_emb.weight", (100, 32), "an embedding: a look-up table, not a kernel"),
        ("attn.relative_coords_table", (1, 15, 15, 2), "a table of position biases, not a kernel"),
    ],
)  # fmt: skip
def test_what_is_no_kernel_by_its_name(name, shape, reason):
    assert reasons(dense("first", 8, 8) | {name: shape}) == {name: reason}


def test_a_norm_in_a_module_named_after_its_activation_is_one():
    assert rows(conv2d("conv", 3, 8) | batch_norm("bn_relu", 8)) == [("conv", ("bn_relu",))]


def test_the_table_that_t5_shares_is_an_embedding():
    shapes = {"shared.weight": (100, 16)}
    assert reasons(
        shapes | dense("encoder.block.0.layer.0.SelfAttention.q", 16, 16, bias=False)
    ) == {"shared.weight": "an embedding: a look-up table, not a kernel"}
    assert reasons(shapes | dense("head", 100, 2)) == {}


def test_query_key_and_value_in_one_kernel_are_three_times_as_wide():
    reasons_ = {p.entry.name: p.reason for p in of(dense("mixer.in_proj", 64, 256)).placed}
    assert reasons_["mixer.in_proj.weight"] == "dense kernel"
