"""Folders that Transformers and PEFT write today are read as what they wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from support.libraries import facts, layers, needed, randomise, same, side
from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore")

SIZES = {"vocab_size": 50, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WIDE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
INNER = {"intermediate_size": 24}
WHISPER = {
    "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "num_mel_bins": 8,
    "max_source_positions": 10, "max_target_positions": 12, "decoder_start_token_id": 1,
}  # fmt: skip
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2], "layer_type": "basic"}
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertForSequenceClassification", "BertConfig", {**SIZES, **WIDE, **INNER}),
    "gpt2": (
        "GPT2LMHeadModel", "GPT2Config",
        {**SIZES, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 20},
    ),
    "llama": (
        "LlamaForCausalLM", "LlamaConfig",
        {**SIZES, **WIDE, **INNER, "num_key_value_heads": 1, "tie_word_embeddings": True},
    ),
    "vit": (
        "ViTForImageClassification", "ViTConfig",
        {**WIDE, **INNER, "image_size": 8, "patch_size": 4, "num_labels": 3},
    ),
    "resnet": ("ResNetForImageClassification", "ResNetConfig", {**RESNET, "num_labels": 3}),
    "t5": ("T5ForConditionalGeneration", "T5Config", {**SIZES, **T5, "decoder_start_token_id": 0}),
    "whisper": ("WhisperForConditionalGeneration", "WhisperConfig", {**SIZES, **WHISPER}),
}  # fmt: skip


def blocks(stem: str, *parts: str) -> list[str]:
    return [f"{stem}.{number}.{part}" for number in (0, 1) for part in parts]


ATTENTION = [f"self_attn.{part}_proj" for part in ("q", "k", "v", "out")]
CROSS = [f"encoder_attn.{part}_proj" for part in ("q", "k", "v", "out")]
STAGE = "resnet.encoder.stages"
ORDER = {
    "bert": [
        *blocks(
            "bert.encoder.layer", *(f"attention.self.{part}" for part in ("query", "key", "value")),
            "attention.output.dense", "intermediate.dense", "output.dense",
        ),
        "bert.pooler.dense", "classifier",
    ],
    "gpt2": blocks("transformer.h", "attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"),
    "llama": blocks(
        "model.layers", *(f"self_attn.{part}_proj" for part in "qkvo"),
        *(f"mlp.{part}_proj" for part in ("gate", "up", "down")),
    ),
    "vit": [
        "vit.embeddings.patch_embeddings.projection",
        *blocks(
            "vit.encoder.layer",
            *(f"attention.attention.{part}" for part in ("query", "key", "value")),
            "attention.output.dense", "intermediate.dense", "output.dense",
        ),
        "classifier",
    ],
    "resnet": [
        "resnet.embedder.embedder.convolution",
        *(f"{STAGE}.0.layers.0.layer.{part}.convolution" for part in (0, 1)),
        *(f"{STAGE}.1.layers.0.layer.{part}.convolution" for part in (0, 1)),
        f"{STAGE}.1.layers.0.shortcut.convolution",
        *(f"{STAGE}.1.layers.1.layer.{part}.convolution" for part in (0, 1)),
        "classifier.1",
    ],
    "t5": [
        *blocks(
            "encoder.block", *(f"layer.0.SelfAttention.{part}" for part in "qkvo"),
            "layer.1.DenseReluDense.wi", "layer.1.DenseReluDense.wo",
        ),
        *blocks(
            "decoder.block", *(f"layer.0.SelfAttention.{part}" for part in "qkvo"),
            *(f"layer.1.EncDecAttention.{part}" for part in "qkvo"),
            "layer.2.DenseReluDense.wi", "layer.2.DenseReluDense.wo",
        ),
    ],
    "whisper": [
        "model.encoder.conv1", "model.encoder.conv2",
        *blocks("model.encoder.layers", *ATTENTION, "fc1", "fc2"),
        *blocks("model.decoder.layers", *ATTENTION, *CROSS, "fc1", "fc2"),
    ],
}  # fmt: skip
# Llama, ViT and BERT say in words where their norms are; GPT-2, T5 and Whisper do not.
SIDES = {
    "bert": {
        "bert.embeddings.LayerNorm": "before bert.encoder.layer.0.attention.self.query",
        "bert.encoder.layer.0.attention.output.LayerNorm": (
            "after bert.encoder.layer.0.attention.output.dense"
        ),
        "bert.encoder.layer.1.output.LayerNorm": "after bert.encoder.layer.1.output.dense",
    },
    "gpt2": {
        "transformer.h.0.ln_1": "before or after transformer.h.0.attn.c_proj",
        "transformer.h.0.ln_2": "before or after transformer.h.0.mlp.c_proj",
        "transformer.ln_f": "after transformer.h.1.mlp.c_proj",
    },
    "llama": {
        "model.layers.0.input_layernorm": "before model.layers.0.self_attn.q_proj",
        "model.layers.0.post_attention_layernorm": "after model.layers.0.self_attn.o_proj",
        "model.norm": "after model.layers.1.mlp.down_proj",
    },
    "vit": {
        "vit.encoder.layer.1.layernorm_before": (
            "before vit.encoder.layer.1.attention.attention.query"
        ),
        "vit.encoder.layer.1.layernorm_after": ("after vit.encoder.layer.1.attention.output.dense"),
        "vit.layernorm": "after vit.encoder.layer.1.output.dense",
    },
    "resnet": {
        f"{STAGE}.1.layers.0.shortcut.normalization": (
            f"after {STAGE}.1.layers.0.shortcut.convolution"
        ),
    },
    "t5": {
        "encoder.block.0.layer.0.layer_norm": (
            "before or after encoder.block.0.layer.0.SelfAttention.o"
        ),
        "encoder.final_layer_norm": "after encoder.block.1.layer.1.DenseReluDense.wo",
    },
    "whisper": {
        "model.encoder.layers.0.self_attn_layer_norm": (
            "before or after model.encoder.layers.0.self_attn.out_proj"
        ),
        "model.encoder.layers.0.final_layer_norm": "before or after model.encoder.layers.0.fc2",
        "model.encoder.layer_norm": "after model.encoder.layers.1.fc2",
        "model.decoder.layer_norm": "after model.decoder.layers.1.fc2",
    },
}


def model(name: str) -> Any:
    needed("transformers")
    import transformers

    kind, config, settings = MODELS[name]
    made = getattr(transformers, kind)(getattr(transformers, config)(**settings))
    return randomise(made.eval())


@pytest.mark.parametrize("name", MODELS)
def test_a_folder_of_a_model(tmp_path, name):
    net = model(name)
    net.save_pretrained(tmp_path)
    found = inspect(tmp_path)
    assert found.form == "safetensors"
    assert facts(found)["file"] == "model.safetensors"
    assert found.architecture.kind == ("residual CNN" if name == "resnet" else "transformer")
    assert layers(found) == ORDER[name]
    assert {norm: side(found, norm) for norm in SIDES[name]} == SIDES[name]
    assert not found.findings
    trained = {id(p): p.numel() for p in net.parameters()}
    assert sum(found.architecture.parameters.values()) == sum(trained.values())
    stored = safetensors.torch.load_file(tmp_path / "model.safetensors")
    same(tmp_path, stored)
    # Some names differ from those in memory, and tied tensors are stored once.
    assert held(stored) == held(net.state_dict())


@pytest.mark.parametrize("name", MODELS)
def test_the_same_model_in_shards(tmp_path, name):
    net = model(name)
    net.save_pretrained(tmp_path / "whole")
    net.save_pretrained(tmp_path / "shards", max_shard_size="8KB")
    shards = sorted((tmp_path / "shards").glob("*.safetensors"))
    assert len(shards) > 1
    found = inspect(tmp_path / "shards")
    assert found.form == f"safetensors in {len(shards)} shards"
    assert layers(found) == ORDER[name]
    whole, parts = read_checkpoint(tmp_path / "whole"), read_checkpoint(tmp_path / "shards")
    assert parts.layout == whole.layout
    assert (parts.vector == whole.vector).all()
    said = [str(finding) for finding in inspect(shards[0]).findings]
    assert said[0] == f"is only shard 1 of {len(shards)} of a net; name its index instead"


def test_inputs_and_outputs_of_gpt2_although_it_stores_its_kernels_the_other_way_round(tmp_path):
    model("gpt2").save_pretrained(tmp_path)
    first = inspect(tmp_path).architecture.layers[:4]
    assert [(one.inputs, one.outputs) for one in first] == [(16, 48), (16, 16), (16, 64), (64, 16)]


def test_a_tied_embedding_is_one_tensor(tmp_path):
    torch.save(model("llama").state_dict(), tmp_path / "pytorch_model.bin")
    assert inspect(tmp_path).shared == (("model.embed_tokens.weight", "lm_head.weight"),)


def held(state: dict[str, torch.Tensor]) -> set[tuple[tuple[int, ...], bytes]]:
    return {(tuple(one.shape), one.contiguous().numpy().tobytes()) for one in state.values()}


def trained(folder: Path) -> Any:
    """The net of a short run of the Trainer, whose checkpoint of step 5 is in the folder."""
    needed("transformers", "accelerate")
    import transformers

    net = model("bert")
    rows = [{"input_ids": torch.arange(6) + n, "labels": torch.tensor(n % 2)} for n in range(12)]
    settings = transformers.TrainingArguments(
        str(folder), max_steps=5, save_steps=5, per_device_train_batch_size=4, learning_rate=1e-3,
        weight_decay=0.02, warmup_steps=2, lr_scheduler_type="cosine", report_to=[], use_cpu=True,
        disable_tqdm=True,
    )  # fmt: skip
    transformers.Trainer(net, settings, train_dataset=rows).train()
    return net


def test_a_folder_of_the_trainer(tmp_path):
    net = trained(tmp_path)
    folder = tmp_path / "checkpoint-5"
    found = inspect(folder)
    same(folder, net.state_dict())
    assert layers(found) == ORDER["bert"]
    (optimizer,) = found.optimizers
    assert (optimizer.where, optimizer.kind, optimizer.steps) == ("optimizer.pt", "AdamW", (5, 5))
    assert [group["weight_decay"] for group in optimizer.groups] == [0.02, 0.0]
    (schedule,) = found.schedules
    assert (schedule.where, schedule.kind) == ("scheduler.pt", "LambdaLR")
    assert schedule.settings["last_epoch"] == 5
    assert schedule.settings["base_lrs"] == [1e-3, 1e-3]
    told = facts(found)
    assert told["trainer_state.json/global_step"] == 5
    assert told["trainer_state.json/epoch"] == pytest.approx(5 / 3)
    settings = told["training_args.bin"]
    assert (settings["learning_rate"], settings["warmup_steps"]) == (1e-3, 2)
    assert "cosine" in str(settings["lr_scheduler_type"])
    assert {fact.kind for fact in found.facts if fact.where.endswith("/epoch")} == {"epoch"}
    assert all("in training_args.bin" in finding.where for finding in found.findings)
    with pytest.raises(DataError, match="a folder of checkpoints; name one in it, such as check"):
        inspect(tmp_path)


def test_each_other_file_of_the_trainer_is_refused_in_one_line(tmp_path):
    trained(tmp_path)
    for name, cause in {
        "optimizer.pt": "holds the state of an optimizer, not a net",
        "scheduler.pt": "holds the state of a learning-rate schedule, not a net",
        "rng_state.pth": "holds the states of random generators, not a net",
        "training_args.bin": (
            "holds settings, a transformers.training_args.TrainingArguments, and no net"
        ),
        "trainer_state.json": "JSON text, not weights",
        "config.json": "JSON text, not weights",
    }.items():
        path = tmp_path / "checkpoint-5" / name
        with pytest.raises(DataError) as caught:
            inspect(path)
        assert str(caught.value) == f"{path}: {cause}; name the file of the weights"


def test_an_adapter_of_peft(tmp_path):
    needed("transformers", "peft")
    import peft

    settings = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=["query", "value"], task_type="SEQ_CLS"
    )
    net = randomise(peft.get_peft_model(model("bert"), settings))
    net.save_pretrained(tmp_path)
    found = inspect(tmp_path)
    assert found.architecture.kind == "LoRA adapter"
    assert layers(found) == ["base_model.model.classifier"]
    factors = [note for note in found.left_out if ".lora_" in note.name]
    assert len(factors) == 8
    assert {note.reason.partition(",")[0] for note in factors} == {
        "a factor of a low-rank adapter (LoRA)"
    }
    told = facts(found)
    assert told["file"] == "adapter_model.safetensors"
    assert (
        told["adapter_config.json"]["r"]
        == json.loads((tmp_path / "adapter_config.json").read_text())["r"]
        == 4
    )
    same(tmp_path, peft.get_peft_model_state_dict(net))
