"""One small net, whose values every form of files must give back."""

from __future__ import annotations

import numpy as np

Arrays = dict[str, np.ndarray]


def tensors() -> Arrays:
    """Names and values as torch has them: a convolution, a batch norm, a dense layer."""
    draw = np.random.Generator(np.random.PCG64(7))
    shapes = {
        "conv.weight": (3, 2, 3, 3),
        "conv.bias": (3,),
        "bn.weight": (3,),
        "bn.bias": (3,),
        "bn.running_mean": (3,),
        "bn.running_var": (3,),
        "fc.weight": (4, 27),
        "fc.bias": (4,),
    }
    found = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    found["bn.running_var"] = np.abs(found["bn.running_var"])
    return found


def channels_last() -> Arrays:
    """The same values with kernels as Keras and JAX have them: [..., in, out]."""
    found = tensors()
    found["conv.weight"] = np.ascontiguousarray(found["conv.weight"].transpose(2, 3, 1, 0))
    found["fc.weight"] = np.ascontiguousarray(found["fc.weight"].T)
    return found


def vector() -> np.ndarray:
    """The values in the order of a vector: shift and scale of a norm, then its statistics."""
    found = tensors()
    order = (
        "conv.weight", "conv.bias", "bn.bias", "bn.weight", "bn.running_mean", "bn.running_var",
        "fc.weight", "fc.bias",
    )  # fmt: skip
    return np.concatenate([found[name].reshape(-1) for name in order])


def tree() -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """The variables of a module of flax."""
    found = channels_last()
    return {
        "params": {
            "Conv_0": {"kernel": found["conv.weight"], "bias": found["conv.bias"]},
            "BatchNorm_0": {"scale": found["bn.weight"], "bias": found["bn.bias"]},
            "Dense_0": {"kernel": found["fc.weight"], "bias": found["fc.bias"]},
        },
        "batch_stats": {
            "BatchNorm_0": {"mean": found["bn.running_mean"], "var": found["bn.running_var"]}
        },
    }
