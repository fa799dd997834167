"""Claims from files: every usual form and spelling, and one line for what is wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.range_server import Served, serving
from weightspace.audit import Claims, claims_in, read_claims
from weightspace.errors import DataError, UsageError, WeightspaceError

SHA = "0123456789abcdef" * 2 + "01234567"
FRONT = """---
library_name: transformers
license: apache-2.0
base_model: distilbert-base-uncased
tags:
- generated_from_trainer
datasets:
- emotion
created: 2024-01-01
model-index:
- name: &anchor x
  results:
  - {task: 1}
---
"""
TRAINER = """
# a-net

- colour: red

### Training hyperparameters

The following hyperparameters were used during training:
- learning_rate: 2e-05
- train_batch_size: 64
- eval_batch_size: 64
- seed: 42
- {optimizer}
- lr_scheduler_type: linear
- num_epochs: 3.0

### Training results

- steps: 7
"""
NEWER = (
    "optimizer: Use adamw_torch with betas=(0.9,0.999) and epsilon=1e-08 and "
    "optimizer_args=No additional optimizer arguments"
)


def card(folder: Path, text: str, name: str = "README.md") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("optimizer: Adam with betas=(0.9,0.999) and epsilon=1e-08", "adam"),
        (NEWER, "adamw"),
        (NEWER.replace("adamw_torch", "OptimizerNames.ADAMW_TORCH_FUSED"), "adamw"),
    ],
)
def test_a_card_of_the_trainer(tmp_path, line, name):
    card(tmp_path, FRONT + TRAINER.format(optimizer=line))
    claims = read_claims(tmp_path)
    assert claims.values == {
        "learning_rate": 2e-5,
        "batch_size": 64,
        "seed": 42,
        "optimizer": name,
        "schedule": "linear",
        "epochs": 3,
        "pretrained_from": "distilbert-base-uncased",
        "dataset": "emotion",
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
    }
    places = {claim.name: claim.place for claim in claims}
    assert places["seed"] == f"{tmp_path / 'README.md'}:26"
    assert places["dataset"] == f"{tmp_path / 'README.md'}:7"
    assert read_claims(tmp_path / "README.md") == claims


def test_the_batch_of_all_devices_is_the_batch(tmp_path):
    text = TRAINER.format(optimizer="gradient_accumulation_steps: 2\n- total_train_batch_size: 128")
    claims = read_claims(card(tmp_path, text))
    assert claims.values["batch_size"] == 128
    assert claims.values["gradient_accumulation"] == 2


def test_the_table_of_keras(tmp_path):
    text = (
        "### Training hyperparameters\n\n| Hyperparameters | Value |\n| :-- | :-- |\n"
        "| name | Adam |\n| learning_rate | 0.0010000000474974513 |\n"
        "| training_precision | mixed_float16 |\n"
    )
    claims = read_claims(card(tmp_path, text))
    assert claims.values == {
        "optimizer": "adam", "learning_rate": 0.0010000000474974513, "precision": "mixed",
    }  # fmt: skip


def test_yaml_and_json_say_the_same(tmp_path):
    said = {"optimizer": "SGD", "lr": 0.1, "momentum": "0.9", "wd": "5e-4", "bs": 128,
            "dataset": "CIFAR-10", "init": "kaiming_normal", "bn": True,
            "colour": "red"}  # fmt: skip
    text = "\n".join(f"{key}: {value}" for key, value in said.items())
    of_yaml = read_claims(card(tmp_path, text, "card.yaml"))
    of_json = read_claims(card(tmp_path, json.dumps(said, indent="\t"), "card.json"))
    assert of_yaml.values == of_json.values == Claims.of(said).values
    assert of_yaml.values == {
        "optimizer": "momentum", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-4,
        "batch_size": 128, "dataset": "cifar10", "initialization": "he_normal", "batch_norm": True,
    }  # fmt: skip
    (unknown,) = (claim for claim in of_yaml if not claim.known)
    assert (unknown.name, unknown.value, unknown.place) == (
        "colour", "red", f"{tmp_path / 'card.yaml'}:9",
    )  # fmt: skip


def test_claims_may_stand_in_a_group(tmp_path):
    text = "name: x\ntraining:\n  optimizer: adam\n  epochs: 3\n"
    claims = read_claims(card(tmp_path, text, "card.yml"))
    assert claims.values == {"optimizer": "adam", "epochs": 3}


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ("SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)",
         {"optimizer": "nesterov", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-4}),
        ("SGD with momentum 0.9", {"optimizer": "momentum", "momentum": 0.9}),
        ("SGD + momentum", {"optimizer": "momentum"}),
        ("torch.optim.RMSprop", {"optimizer": "rmsprop"}),
        ("{'name': 'Adam', 'learning_rate': 0.001}", {"optimizer": "adam", "learning_rate": 0.001}),
        ("AdamW (lr = 3e-4, betas=(0.9, 0.95))",
         {"optimizer": "adamw", "learning_rate": 3e-4, "beta1": 0.9, "beta2": 0.95}),
        ("Ranger21", {"optimizer": "ranger21"}),
        ({"name": "AdamW", "lr": 1e-3, "betas": [0.9, 0.98], "fused": True},
         {"optimizer": "adamw", "learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.98}),
    ],
)  # fmt: skip
def test_optimizers_as_people_write_them(said, values):
    assert Claims.of({"optimizer": said}).values == values


def test_what_is_said_of_sgd_without_momentum():
    for claims, covered in (
        ({"optimizer": "sgd"}, ("sgd", "momentum", "nesterov")),
        ({"optimizer": "sgd", "momentum": 0}, ("sgd",)),
        ({"optimizer": "sgd", "momentum": 0.5}, ("momentum",)),
        ({"optimizer": "adam"}, ("adam",)),
    ):
        found = Claims.of(claims)
        assert found.covered(found.claims[0]) == covered


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "c.yaml",
            "optimizer: sgd\nlr: fast\n",
            "c.yaml:2: learning_rate: 'fast' is not a positive",
        ),
        ("c.yaml", "batch_size: 1.5\n", "c.yaml:1: batch_size: 1.5 is not a whole number from 1"),
        ("c.yaml", "momentum: 1\n", "c.yaml:1: momentum: 1 is not a number from 0 up to"),
        ("c.yaml", "batch_norm: maybe\n", "c.yaml:1: batch_norm: 'maybe' is not true or false"),
        ("c.yaml", "lr: 0.1\nlearning_rate: 0.2\n", "c.yaml:2: learning_rate: another value is a"),
        ("c.yaml", "- lr\n", "c.yaml: no claims; a mapping is needed"),
        ("c.yaml", "a: &b 1\n", "c.yaml:1: not YAML (an anchor or alias"),
        ("c.yaml", "seed: 2024-01-01\n", "c.yaml:1: seed: 2024-01-01 is a date in YAML"),
        ("c.json", '{"lr": \n', "c.json:2: not YAML"),
        ("c.yaml", "betas: 0.9\n", "c.yaml:1: betas: 0.9 is not two numbers"),
        ("README.md", "# A net\n\nIt is good.\n", "README.md: a model card without claims"),
        ("README.md", "## Hyperparameters\n- lr: warm\n", "README.md:2: learning_rate: 'warm' is"),
        ("c.yaml", "a: " + "x" * 200_000, "c.yaml: holds 200,003 characters"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_line(tmp_path, name, text, message):
    with pytest.raises(UsageError) as caught:
        read_claims(card(tmp_path, text, name))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_missing_or_no_text(tmp_path):
    with pytest.raises(DataError, match=r"nowhere.yaml: no such file"):
        read_claims(tmp_path / "nowhere.yaml")
    with pytest.raises(DataError, match=r"README.md: no such file"):
        read_claims(tmp_path)
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"c.yaml: no text in UTF-8"):
        read_claims(tmp_path / "c.yaml")
    (tmp_path / "README.md").write_bytes(b" " * 2**21 + b"x")
    with pytest.raises(DataError):
        read_claims(tmp_path)


def test_steering_characters_do_not_reach_the_message(tmp_path):
    with pytest.raises(UsageError) as caught:
        read_claims(card(tmp_path, "## Hyperparameters\n- lr: \x1b[2Jx\n"))
    assert "\x1b" not in str(caught.value)


def test_damaged_cards_give_one_line_or_claims(tmp_path):
    draw = random.Random(0)
    sound = {
        "README.md": FRONT + TRAINER.format(optimizer=NEWER),
        "c.yaml": "optimizer: {name: Adam, lr: 0.1}\nbetas: [0.9, 0.99]\n1: 2\n",
        "c.json": '{"optimizer": "SGD(lr=0.1)", "x": {"y": [1, null]}, "momentum": 0.9}',
    }
    lines: list[str] = []
    for _ in range(400):
        name, text = draw.choice(list(sound.items()))
        for _ in range(draw.randrange(1, 6)):
            at, more = draw.randrange(len(text)), draw.choice("{}[]:-#|'\"\n\t\0\x1b&*!%`=(),.?1e")
            text = text[:at] + more + text[at + draw.randrange(20) :]
        try:
            read_claims(card(tmp_path, text, name))
        except WeightspaceError as error:
            lines.append(str(error))
    assert 50 < len(lines) < 400
    assert all(len(line.splitlines()) == 1 and "\x1b" not in line for line in lines)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[Served]:
    """A stand-in for the hub with one model, whose card is the Trainer's."""
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    folder = tmp_path / "some" / "net" / "resolve" / SHA
    folder.mkdir(parents=True)
    card(folder, FRONT + TRAINER.format(optimizer=NEWER))
    said = tmp_path / "api" / "models" / "some" / "net" / "revision" / "main"
    said.parent.mkdir(parents=True)
    said.write_text(json.dumps({"sha": SHA, "siblings": [{"rfilename": "README.md"}]}))
    with serving(tmp_path) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def test_a_card_on_the_hub(hub):
    claims = read_claims("hf://some/net")
    assert claims.values["optimizer"] == "adamw"
    (seed,) = (claim for claim in claims if claim.name == "seed")
    assert seed.place == f"{hub.url}/some/net/resolve/{SHA}/README.md:26"
    assert read_claims("hf://some/net/README.md") == claims
    with pytest.raises(DataError, match="other/net"):
        read_claims("hf://other/net")
    with pytest.raises(DataError, match="no such file"):
        read_claims("hf://some/net/card.yaml")


def test_a_card_on_the_hub_that_is_too_large(hub):
    path = hub.folder / "some" / "net" / "resolve" / SHA / "README.md"
    path.write_bytes(b"x" * (2**21 + 1))
    with pytest.raises(DataError, match="a card of 2,097,153 bytes; at most 2,097,152 are read"):
        read_claims("hf://some/net")
    assert hub.sent("README.md") < 2**17


@pytest.mark.parametrize(
    "text",
    [
        "optimizer: adam\nlr: 0.1\n",
        "# a comment\noptimizer: adam\nlr: 0.1\n",
        '{"optimizer": "adam",\n\t"lr": 0.1}',
        "training:\n  optimizer: adam\n  lr: 0.1\n",
        "# A net\n\n## Training details\n\n- optimizer: adam\n- lr: 0.1\n",
        "---\nlicense: mit\n---\n\n## Hyperparameters\n\n| lr | 0.1 |\n| optimizer | adam |\n",
    ],
)
def test_a_text_is_read_without_the_name_of_its_form(text):
    assert claims_in(text).values == {"optimizer": "adam", "learning_rate": 0.1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr: fast", "card:1: learning_rate: 'fast' is not a positive number"),
        ("optimizer: adam\nlr: [", "card:2: not YAML"),
        ("# A net\n\nIt is good.\n", "card: a model card without claims that are known"),
    ],
)
def test_a_text_with_a_mistake_is_refused_in_one_line(text, said):
    with pytest.raises(UsageError) as caught:
        claims_in(text)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
