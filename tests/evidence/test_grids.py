"""Number formats: narrow ones, levels of quantisation, and numbers that only look like them."""

import numpy as np
import pytest
import torch
from torch import nn

from support.norm_nets import mlp, opened, p_value, trained
from weightspace.evidence.grids import grid_law


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return trained(mlp(), lambda own: torch.optim.SGD(own, 0.1), 30).state_dict()


def law(content, tmp_path):
    with opened(content, tmp_path) as (subject, context):
        return list(grid_law(subject, context))


def changed(net, change):
    return {k: change(v) if v.ndim > 1 else v for k, v in net.items()}


def test_trained_weights_need_all_bits(net, tmp_path):
    (found,) = law(net, tmp_path)
    assert p_value([found], "precision", "float32") == 1.0


@pytest.mark.parametrize("form", ["bfloat16", "float16", "float8_e4m3", "float8_e5m2"])
def test_a_narrow_format_that_was_made_wide_again_is_seen(form, net, tmp_path):
    dtype = getattr(torch, {"float8_e4m3": "float8_e4m3fn"}.get(form, form))
    wide = {k: (16 * v).to(dtype).float() if v.is_floating_point() else v for k, v in net.items()}
    found = law(wide, tmp_path)
    assert p_value(found, "precision", form) == 1.0
    assert p_value(found, "precision", "float32") == 0.0


def test_weights_that_are_partly_narrow_contradict_nothing(net, tmp_path):
    found = law(net | {"0.weight": net["0.weight"].bfloat16().float()}, tmp_path)
    assert "1 of" in found[0].says
    assert found[0].where == "0.weight"
    assert p_value(found, "precision", "float32") is None


def per_tensor(weight):
    scale = weight.abs().max() / 127
    return torch.round(weight / scale) * scale


def per_channel(weight):
    scale = weight.abs().amax(1, keepdim=True) / 127
    return torch.round(weight / scale) * scale


def four_bits(weight):
    scale = weight.abs().max() / 7
    return torch.round(weight / scale) * scale


def clusters(weight):
    centres = torch.tensor(np.quantile(weight, np.linspace(0, 1, 32)), dtype=torch.float32)
    return centres[(weight[..., None] - centres).abs().argmin(-1)]


@pytest.mark.parametrize(
    ("change", "words", "value"),
    [
        (per_tensor, "evenly spaced levels", "int8"),
        (per_channel, "evenly spaced levels in each row", "int8"),
        (four_bits, "quantised to 4 bits", "4 bits"),
        (clusters, "at most 32 levels", "5 bits"),
    ],
)
def test_levels_of_quantisation_are_seen(change, words, value, net, tmp_path):
    (found,) = law(changed(net, change), tmp_path)
    assert words in found.says
    assert p_value([found], "precision", value) == 1.0


def test_pruned_constant_and_nearly_untrained_weights_are_no_levels(net, tmp_path):
    torch.manual_seed(0)
    few = mlp()
    for layer in few:
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.weight, 0.1)
    pruned = changed(net, lambda weight: weight * (weight.abs() > 0.09))
    for content in (pruned, few.state_dict()):
        assert not any("level" in one.says for one in law(content, tmp_path))


def test_steps_of_equal_length_are_no_levels(tmp_path):
    """As Lion makes of biases that begin at 0."""
    torch.manual_seed(0)
    net = mlp()
    with torch.no_grad():
        net[0].bias.copy_(torch.randint(-20, 20, (128,)) * 1e-3)
    assert not any("level" in one.says for one in law(net.state_dict(), tmp_path))
