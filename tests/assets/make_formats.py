"""Writes the files of other libraries that are read: `python make_formats.py FOLDER`.

Needs the extra `libraries` (with `KERAS_BACKEND=torch`), which the tests of these files do not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import one_net


def keras_files(out: Path) -> None:
    import h5py
    import keras
    from keras.src.legacy.saving import legacy_h5_format

    found = one_net.channels_last()
    net = keras.Sequential(
        [
            keras.Input((5, 5, 2)),
            keras.layers.Conv2D(3, 3, name="conv"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.Flatten(),
            keras.layers.Dense(4, name="fc"),
        ]
    )
    for layer, names in (
        ("conv", ("weight", "bias")),
        ("bn", ("weight", "bias", "running_mean", "running_var")),
        ("fc", ("weight", "bias")),
    ):
        net.get_layer(layer).set_weights([found[f"{layer}.{name}"] for name in names])
    net.save(out / "keras.h5")
    net.save(out / "keras.keras")
    net.save_weights(out / "keras.weights.h5")
    with h5py.File(out / "keras-weights.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, net)
    net.compile(keras.optimizers.SGD(0.5, momentum=0.75, nesterov=True), "mse")
    net.optimizer.build(net.trainable_variables)
    net.optimizer.iterations.assign(7)
    net.save(out / "trained.keras")  # before .h5, which drops the optimizer from the settings
    net.save(out / "trained.h5")
    half = keras.Sequential(
        [keras.Input((27,)), keras.layers.Dense(4, name="fc", dtype="bfloat16")]
    )
    half.set_weights([found["fc.weight"], found["fc.bias"]])
    half.save_weights(out / "keras-bfloat16.weights.h5")


def hdf5_files(out: Path) -> None:
    import h5py

    with h5py.File(out / "chunks.h5", "w") as file:
        for name, values in one_net.tensors().items():
            how: dict[str, Any] = {}
            if values.ndim > 1:
                how = {"chunks": tuple(min(2, n) for n in values.shape), "compression": "gzip"}
                how |= {"shuffle": True, "fletcher32": values.ndim == 2}
            file.create_dataset(name.replace(".", "/"), data=values.astype(">f8"), **how)


def latest_hdf5_files(out: Path) -> None:
    """As `libver="latest"` writes lists of more than 8 members, and chunks with every index."""
    import h5py

    endless: dict[str, tuple[int | None, ...]] = {
        "conv.bias": (None,),  # an extensible array
        "bn.bias": (None,),
        "fc.weight": (None, None),  # a tree
    }
    packed = {"compression": "gzip", "shuffle": True}
    with h5py.File(out / "latest.h5", "w", libver=("v110", "v110")) as file:
        for name, values in one_net.tensors().items():
            how: dict[str, Any] = dict(packed) if name in ("conv.weight", "bn.bias") else {}
            if name != "bn.running_mean":  # else in one piece
                how["chunks"] = tuple(max(n // 2, 1) for n in values.shape)
            if name == "fc.weight":
                how = {"chunks": (1, 5), **packed}
            file.create_dataset(name, data=values, maxshape=endless.get(name), **how)
        for number in range(12):
            file.create_dataset(f"step{number}", data=number)
            file.attrs[f"note{number}"] = "text " * (number + 1)
        file.attrs["long"] = np.array([b"z" * 5000])
    with h5py.File(out / "growing.h5", "w", libver=("v110", "v110")) as file:
        values = np.arange(2400, dtype=np.float32).reshape(1200, 2)
        for name, most in (("paged", (1200, 2)), ("growing", (None, 2)), ("tree", (None, None))):
            data = file.create_dataset(name, (1200, 2), "f4", chunks=(1, 2), maxshape=most)
            data[:8], data[1100] = values[:8], values[1100]  # the others are zeros


def onnx_files(out: Path) -> None:
    import onnx

    net = torch.nn.Sequential()
    net.add_module("conv", torch.nn.Conv2d(2, 3, 3))
    net.add_module("bn", torch.nn.BatchNorm2d(3))
    net.add_module("flat", torch.nn.Flatten())
    net.add_module("fc", torch.nn.Linear(27, 4))
    state = {name: torch.from_numpy(values) for name, values in one_net.tensors().items()}
    net.load_state_dict(state, strict=False)
    torch.onnx.export(
        net.eval(),
        (torch.zeros(1, 2, 5, 5),),
        str(out / "torch.onnx"),
        dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
    )
    found = one_net.channels_last()
    tensors = one_net.tensors()
    node, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    nodes = [
        node("Conv", ["x", "onnx::Conv_7", "onnx::Conv_8"], ["a"]),
        node("BatchNormalization", ["a", "s", "b", "m", "v"], ["c"]),
        node("Flatten", ["c"], ["d"]),
        node("MatMul", ["d", "dense"], ["e"]),
        node("Add", ["e", "more"], ["y"]),
    ]
    values = [
        onnx.helper.make_tensor("more", 1, [4], tensors["fc.bias"]),  # as numbers, not as bytes
        tensor(found["fc.weight"], "dense"),
        *(
            tensor(tensors[f"bn.{name}"], short)
            for short, name in zip(
                "vmbs", ("running_var", "running_mean", "bias", "weight"), strict=True
            )
        ),
        tensor(tensors["conv.bias"], "onnx::Conv_8"),
        tensor(tensors["conv.weight"], "onnx::Conv_7"),
    ]
    ends = [
        onnx.helper.make_tensor_value_info(name, 1, shape)
        for name, shape in (("x", [1, 2, 5, 5]), ("y", [1, 4]))
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], values))
    onnx.save(model, str(out / "matmul.onnx"))
    onnx.save(
        model,
        str(out / "outside.onnx"),
        save_as_external_data=True,
        location="outside.data",
        size_threshold=0,
    )


def recurrent_file(out: Path) -> None:
    """A GRU of both directions, exported by tracing; its tensors count up from 0."""
    net = torch.nn.GRU(2, 3, bidirectional=True)
    with torch.no_grad():
        start = 0
        for tensor in net.parameters():
            count = tensor.numel()
            tensor.copy_(torch.arange(start, start + count).reshape(tensor.shape))
            start += count
    torch.onnx.export(net, (torch.zeros(1, 1, 2),), str(out / "gru.onnx"), dynamo=False)


def gguf_files(out: Path) -> None:
    import gguf
    from gguf.quants import dequantize, quantize

    draw = np.random.Generator(np.random.PCG64(3))
    writer = gguf.GGUFWriter(str(out / "small.gguf"), "llama")
    writer.add_block_count(1)
    writer.add_array("tokenizer.ggml.tokens", [f"word{n}" for n in range(40)])
    known: dict[str, np.ndarray] = {}
    for name, values in one_net.tensors().items():
        known[name] = values
        writer.add_tensor(name, values)
    known["half.weight"] = draw.normal(size=(2, 5)).astype(np.float16)
    writer.add_tensor("half.weight", known["half.weight"])
    kinds = gguf.GGMLQuantizationType
    for kind in (kinds.Q4_0, kinds.Q4_1, kinds.Q5_0, kinds.Q5_1, kinds.Q8_0, kinds.BF16):
        raw = quantize(draw.normal(size=(2, 64)).astype(np.float32), kind)
        writer.add_tensor(f"{kind.name}.weight", raw, raw_dtype=kind)
        known[f"{kind.name}.weight"] = dequantize(raw, kind)
    for kind in (kinds.Q2_K, kinds.Q3_K, kinds.Q4_K, kinds.Q5_K, kinds.Q6_K, kinds.IQ4_NL):
        values, width = gguf.GGML_QUANT_SIZES[kind]
        raw = draw.integers(0, 256, (2, width)).astype(np.uint8)
        raw[:, 1::2] &= 0x3B  # the float16 among them stay finite, wherever they are
        writer.add_tensor(f"{kind.name}.weight", raw, raw_dtype=kind)
        known[f"{kind.name}.weight"] = dequantize(raw, kind).reshape(2, values)
    raw = np.zeros((1, gguf.GGML_QUANT_SIZES[kinds.IQ2_XS][1]), np.uint8)
    writer.add_tensor("other.weight", raw, raw_dtype=kinds.IQ2_XS)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    np.savez_compressed(out / "small.gguf.npz", **{k: v.astype("f4") for k, v in known.items()})


def flax_files(out: Path) -> None:
    import flax.serialization
    import jax.numpy as jnp
    import optax

    tree = one_net.tree()
    (out / "flax.msgpack").write_bytes(flax.serialization.to_bytes(tree))
    state = {"step": np.int32(3), "params": tree["params"], "opt_state": {"0": {"mu": tree}}}
    (out / "state.msgpack").write_bytes(flax.serialization.to_bytes(state))
    moments = (optax.ScaleByAdamState(np.int32(3), tree["params"], tree["params"]), {})
    trained = {"step": np.int32(3), **tree, "opt_state": moments}
    (out / "trained.msgpack").write_bytes(flax.serialization.to_bytes(trained))
    half = {"Dense_0": {"kernel": jnp.asarray(tree["params"]["Dense_0"]["kernel"], jnp.bfloat16)}}
    (out / "bfloat16.msgpack").write_bytes(flax.serialization.to_bytes(half))
    flax.serialization.MAX_CHUNK_SIZE = 64
    (out / "pieces.msgpack").write_bytes(flax.serialization.to_bytes(tree))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for write in (
        keras_files, hdf5_files, latest_hdf5_files, onnx_files, recurrent_file, gguf_files,
        flax_files,
    ):  # fmt: skip
        write(folder)
