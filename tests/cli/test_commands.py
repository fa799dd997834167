"""What a person types, what they read, and the exit code a script sees."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import safetensors.numpy

from support.commands import document, printed, refused
from support.populations import synthetic_zoo
from weightspace.cli.app import BENCH, COMMANDS, run
from weightspace.space import PRESETS
from weightspace.zoo import Zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return synthetic_zoo(tmp_path_factory.mktemp("cli") / "zoo", nets=60)


@pytest.fixture(scope="module")
def model(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "model"
    assert run(["fit", str(zoo.path), "--out", str(out), "--slice-length", "1000"]) == 0
    return out


def test_every_command_offers_json_and_debug(capsys: pytest.CaptureFixture[str]) -> None:
    listed = printed(capsys)
    page = (Path(__file__).parents[2] / "docs/commands.md").read_text(encoding="utf-8")
    for command in COMMANDS + BENCH:
        text = printed(capsys, *command.split(), "--help")
        assert "--json" in text or command == "app", command  # which is a server
        assert "--debug" in text, command
        assert f"  {command.split()[0]} " in listed
        assert re.search(rf"^\| `weightspace {command}[ `]", page, re.M), (
            f"{command}: docs/commands.md"
        )


def test_spaces_and_images(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "spaces")
    assert [space["name"] for space in found] == list(PRESETS)
    entries = {entry["name"]: entry for entry in document(capsys, "images")}
    assert entries["digits"]["state"] == "ready"
    assert {"mnist", "fashion_mnist", "cifar10", "svhn", "stl10"} <= set(entries)
    assert "digits" in printed(capsys, "images")
    assert "nws-small" in printed(capsys, "spaces")


def test_info_and_check(zoo: Zoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = document(capsys, "info", zoo.path)
    assert facts["nets"] == 60
    assert facts["snapshots"] == 300
    assert "60" in printed(capsys, "info", zoo.path)
    assert document(capsys, "check", zoo.path, "--full") == []


def test_evaluate_on_nets_set_aside(
    zoo: Zoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("evaluate", zoo.path, "--out", tmp_path, "--slice-length", 1000, "--seeds", "0",
                 "--classifiers", "kernel", "--properties", "filter_size")  # fmt: skip
    found = document(capsys, *arguments, "--leave-out", "augmentation=true")
    assert {row["split"] for row in found["rows"]} == {"augmentation=true"}
    assert {row["n_nets"] for row in found["rows"]} == {30}
    assert "no net has dataset mnist" in refused(capsys, *arguments, "--leave-out", "dataset=mnist")
    assert "names no level; write it" in refused(capsys, *arguments, "--leave-out", "dataset")
    both = refused(capsys, *arguments, "--leave-out", "dataset=digits", "--split")
    assert "cannot be combined" in both
    few = "split, side test: too few nets for an interval: 12 usable, a side needs 25"
    assert few in refused(capsys, *arguments, "--split")


def test_shards_are_sampled_and_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [tmp_path / name for name in ("one", "two")]
    for i, part in enumerate(parts, 1):
        found = document(capsys, "sample", "demo", "--nets", 6, "--epochs", 1, "--snapshots", 2,
                         "--workers", 1, "--out", part, "--shard", f"{i}/2")  # fmt: skip
        assert found["nets"] == found["nets_planned"] < 6
    assert document(capsys, "merge", tmp_path / "zoo", *parts)["nets"] == 6
    assert printed(capsys, "check", tmp_path / "zoo", "--full").startswith(str(tmp_path / "zoo"))
    line = refused(capsys, "merge", tmp_path / "zoo", parts[0], tmp_path / "nowhere")
    assert "nowhere: no such directory" in line
    for text in ("2", "2/", "a/b", "1.5/2"):
        line = refused(capsys, "sample", "demo", "--nets", 6, "--out", "x", "--shard", text)
        assert f"shard: {text!r} is no shard; write 2/8 for the second of eight" in line


def test_sample_after_named_epochs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("sample", "demo", "--nets", 2, "--out", tmp_path / "zoo", "--workers", 1,
                 "--datasets", "digits", "--evaluation-images", 50)  # fmt: skip
    said = refused(capsys, *arguments, "--snapshot-epochs", "0,one")
    assert said == "error: snapshot_epochs: '0,one' holds no numbers; write 0,0.5,1,2,5"
    facts = document(capsys, *arguments, "--snapshot-epochs", "0,0.5,1")
    assert facts["snapshots"] == 6
    assert sorted(set(Zoo(tmp_path / "zoo").snapshots["epoch"].round(1))) == [0, 0.5, 1]


def test_one_net_is_reproduced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "zoo"
    document(capsys, "sample", "demo", "--nets", 2, "--epochs", 1, "--snapshots", 3, "--out", out,
             "--workers", 1)  # fmt: skip
    net = Zoo(out).nets["net"][1]
    found = document(capsys, "reproduce", out, net)
    assert [row["snapshot"] for row in found["differences"]] == [1, 2, 3]
    assert document(capsys, "sample", "--only", net, "--out", out) == found
    text = printed(capsys, "sample", "--out", out, "--only", net)
    assert f"net {net}" in text
    assert "largest difference" in text
    line = refused(capsys, "sample", "demo", "--nets", 2, "--out", out, "--only", net)
    assert "--only reads it from the zoo; leave it out" in line
    assert "has no net 'abc'" in refused(capsys, "reproduce", out, "abc")
    assert "SPACE and --nets: say what to sample" in refused(capsys, "sample", "--out", out)


def test_check_fails_on_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = synthetic_zoo(tmp_path / "zoo", nets=8).path
    shard = next((damaged / "shards").iterdir())
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    assert run(["check", str(damaged), "--full", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert [finding["severity"] for finding in findings] == ["error"]


def test_evaluate_writes_tables_and_prints_them(
    zoo: Zoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    arguments = ("evaluate", zoo.path, "--out", out, "--slice-length", 1000, "--seeds", "0",
                 "--properties", "initialization,filter_size")  # fmt: skip
    rows = document(capsys, *arguments)["rows"]
    assert {row["property"] for row in rows} == {"initialization", "filter_size"}
    assert (out / "evaluation.parquet").exists()
    text = printed(capsys, *arguments)
    for word in ("initialization", "95 % interval", "chance", "shallow", "permuted labels"):
        assert word in text


def test_dissect_writes_a_page(
    zoo: Zoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    found = document(capsys, "dissect", zoo.path, "--out", out, "--slice-length", 1000,
                     "--seeds", "0", "--properties", "initialization", "--positions", 10,
                     "--permutations", 5, "--slices-per-net", 2, "--also", "slices")  # fmt: skip
    page = Path(found["page"])
    assert page.parent == out
    assert "<html" in page.read_text(encoding="utf-8")
    assert (out / "figures" / "much.png").stat().st_size > 10_000
    assert (out / "when.parquet").exists()


def test_predict_reads_a_checkpoint_that_it_never_saw(
    zoo: Zoo, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = zoo.nets["net"][0]
    vector, layout = zoo.vector(net, -1), zoo.layout(net)
    names = {"shift": "bias", "scale": "weight"}
    tensors = {}
    for spec in layout.tensors:
        stem = spec.name.rsplit(".", 1)[0]
        norm = spec.role not in ("weight", "bias")
        name = f"{stem}{'_norm' if norm else ''}.{names.get(spec.role, spec.role)}"
        tensors[name] = np.array(vector[spec.offset : spec.stop]).reshape(spec.shape)
    tensors["conv1_norm.num_batches_tracked"] = np.array(7)
    file = tmp_path / "net.safetensors"
    safetensors.numpy.save_file(tensors, file)
    (answer,) = document(capsys, "predict", model, file)
    truth = zoo.nets["initialization"][0]
    levels = {r["property"]: r for r in answer["answer"]["readings"]}
    assert levels["initialization"]["value"] == truth
    assert levels["filter_size"]["value"] == str(zoo.nets["filter_size"][0])
    assert levels["filter_size"]["source"] == "shapes"
    assert not answer["answer"]["outside"]
    skipped = [tensor["name"] for tensor in answer["tensors"] if not tensor["used"]]
    assert skipped == ["conv1_norm.num_batches_tracked"]
    text = printed(capsys, "predict", model, file)
    assert truth in text
    assert "skipped conv1_norm.num_batches_tracked" in text
    assert "from the shapes" in text
    assert "trust" not in text
    many = printed(capsys, "predict", model, file, file)
    rows = [line for line in many.splitlines() if str(file) in line]
    assert len(rows) == 2
    assert all(truth in row for row in rows)


def test_outside_of_the_population_nothing_is_read(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Null in JSON, absent on the screen, and the exit code is 3."""
    file = tmp_path / "mlp.safetensors"
    weights = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    safetensors.numpy.save_file({"fc.weight": weights}, file)
    assert run(["predict", str(model), str(file), "--json"]) == 3
    (found,) = json.loads(capsys.readouterr().out)
    assert found["answer"]["outside"]
    assert any(reason.startswith("no convolution; ") for reason in found["answer"]["reasons"])
    for reading in found["answer"]["readings"]:
        assert reading["value"] is reading["probability"] is reading["right"] is None
        assert reading["probabilities"] == reading["possible"] == []
        assert reading["reason"]
    assert run(["predict", str(model), str(file)]) == 3
    text = capsys.readouterr().out
    assert "Outside of the model's population, so nothing is read" in text
    assert "no convolution; the population has" in text
    assert "initialization" not in text
    assert run(["predict", str(model), str(file), str(file)]) == 3
    assert capsys.readouterr().out.count("no convolution") == 2


class Bomb:
    """Unpickling it would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_checkpoints_that_cannot_be_read(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bomb, empty, nan = (tmp_path / name for name in ("bomb.pt", "empty.pt", "nan.safetensors"))
    bomb.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded"), protocol=2))
    empty.write_bytes(b"")
    bad = {"fc.weight": np.array([[1.0, np.nan]] * 800, np.float32)}
    safetensors.numpy.save_file(bad, nan)
    assert "bomb.pt" in refused(capsys, "predict", model, bomb)
    assert not (tmp_path / "exploded").exists()
    assert "empty.pt" in refused(capsys, "predict", model, empty)
    assert str(tmp_path) in refused(capsys, "predict", model, tmp_path)
    line = refused(capsys, "predict", model, nan)
    assert "fc.weight" in line
    assert "nan.safetensors" in line
    assert "no-model" in refused(capsys, "predict", tmp_path / "no-model", nan)


def test_spaces_that_cannot_be_drawn_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "zoo"

    def said(text: str) -> str:
        file = tmp_path / "space.yaml"
        file.write_text(text)
        return refused(capsys, "sample", file, "--nets", 4, "--out", out)

    assert "presets are demo" in refused(capsys, "sample", "nws-tiny", "--nets", 4, "--out", out)
    assert "space.yaml:4: not YAML" in said("name: x\nrecipe:\n  dataset: [a, b\n")
    upside = "recipe:\n  dataset: digits\n  learning_rate: {low: 0.1, high: 0.01}\n"
    line = said(upside)
    assert "space.yaml:3: learning_rate: low 0.1 is not below high 0.01" in line
    assert not out.exists()


def test_missing_and_truncated_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEIGHTSPACE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data, out = tmp_path / "data", tmp_path / "zoo"
    data.mkdir()
    arguments = ("sample", "nws-small", "--datasets", "mnist", "--nets", 2, "--out", out,
                 "--data-dir", data)  # fmt: skip
    line = refused(capsys, *arguments)
    assert "train-images-idx3-ubyte" in line
    assert str(data) in line
    np.savez(data / "mnist.npz", x_train=np.zeros((9, 8, 8), np.uint8))
    (data / "mnist.npz").write_bytes((data / "mnist.npz").read_bytes()[:-40])
    assert "mnist.npz" in refused(capsys, *arguments)
    assert not out.exists()


def test_another_zoo_in_the_way(zoo: Zoo, capsys: pytest.CaptureFixture[str]) -> None:
    before = {p: p.read_bytes() for p in zoo.path.rglob("*") if p.is_file()}
    line = refused(capsys, "sample", "demo", "--nets", 4, "--out", zoo.path)
    assert "holds another zoo" in line
    assert "choose another folder" in line
    assert {p: p.read_bytes() for p in zoo.path.rglob("*") if p.is_file()} == before


def test_zoos_and_slices_that_cannot_be_evaluated(
    zoo: Zoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    line = refused(capsys, "evaluate", zoo.path, "--out", out, "--slice-length", 999_999)
    assert "slice" in line
    assert "999,999" in line
    few = synthetic_zoo(tmp_path / "few", nets=12).path
    assert "12" in refused(capsys, "evaluate", few, "--out", out, "--slice-length", 1000)
    newer = synthetic_zoo(tmp_path / "newer", nets=8).path
    meta = json.loads((newer / "zoo.json").read_text())
    (newer / "zoo.json").write_text(json.dumps(meta | {"version": 99}))
    line = refused(capsys, "info", newer)
    assert "99" in line
    assert "upgrade" in line
    line = refused(capsys, "evaluate", zoo.path, "--out", out, "--slice-length", 1000,
                   "--properties", "batch_norm")  # fmt: skip
    assert "batch_norm: no property of the space" in line
    assert not out.exists()


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], zoo: Zoo) -> None:
    assert "No such command 'smaple'" in refused(capsys, "smaple")
    assert "--nets" in refused(capsys, "sample", "demo", "--out", "x", "--nets", "many")
    assert "--out" in refused(capsys, "sample", "demo", "--nets", 3)
    line = refused(capsys, "evaluate", zoo.path, "--out", "x", "--snapshots", "one")
    assert "snapshots: 'one' is no number" in line


def test_a_demo_of_too_few_nets_is_refused_before_it_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, "demo", "--nets", 20, "--out", tmp_path / "demo", "--json")
    assert "nets: 20 are too few for intervals; the demo needs 40" in line
    assert not (tmp_path / "demo").exists()


def test_one_bad_file_does_not_silence_the_others(
    zoo: Zoo, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.pt"
    weights = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    safetensors.numpy.save_file({"fc.weight": weights}, good)
    bad.write_bytes(b"garbage")
    assert run(["predict", str(model), str(bad), str(good), "--json"]) == 2
    said = capsys.readouterr()
    first, second = json.loads(said.out)
    assert "bad.pt" in first["error"]
    assert second["answer"]["readings"]
    assert "bad.pt" in said.err


def test_results_do_not_go_where_they_cannot_or_should_not(
    zoo: Zoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said at once, before anything is computed."""
    file = tmp_path / "notes.txt"
    file.write_text("precious")
    for command in ("evaluate", "dissect", "fit"):
        line = refused(capsys, command, zoo.path, "--out", file)
        assert "notes.txt: is a file; choose another --out" in line
        line = refused(capsys, command, zoo.path, "--out", zoo.path)
        assert "is a zoo, not a folder for results" in line
    assert file.read_text() == "precious"


def test_ctrl_c_says_what_is_kept_and_leaves_no_process(tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "weightspace"
    command = [script, "sample", "demo", "--nets", "200", "--out", tmp_path / "zoo"]
    command += ["--datasets", "digits", "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    workers: list[psutil.Process] = []
    while len(workers) < 2:
        time.sleep(0.02)
        assert process.poll() is None
        children = psutil.Process(process.pid).children(recursive=True)
        workers = [p for p in children if "LokyProcess" in " ".join(p.cmdline())]
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "error: stopped; finished nets are kept, the same command continues" in said
    assert psutil.wait_procs(workers, timeout=10)[1] == []


def test_property_names_are_taken_as_they_are_shown(
    zoo: Zoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(capsys, "evaluate", zoo.path, "--out", tmp_path, "--seeds", "0",
                     "--slice-length", 1000, "--properties", "filter size")  # fmt: skip
    assert {row["property"] for row in found["rows"]} == {"filter_size"}


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
)
def test_too_little_memory_is_no_bug(monkeypatch, capsys, error: Exception) -> None:
    def starved(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("weightspace.cli.app.app", starved)
    assert run(["spaces"]) == 2
    assert capsys.readouterr().err == (
        "error: out of memory; finished work is kept, free some memory and run it again\n"
    )


def test_debug_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "nowhere", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_the_installed_command_runs_and_starts_fast() -> None:
    """`--help` and `spaces` must not load torch."""
    script = Path(sys.executable).parent / "weightspace"
    found = subprocess.run([script, "spaces", "--json"], capture_output=True, text=True, check=True)
    assert len(json.loads(found.stdout)) == len(PRESETS)
    code = (
        "import sys; from weightspace.cli.app import run; run(['spaces']); "
        "print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "False"
