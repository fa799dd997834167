"""What a model reads off the weights while a net is trained, and off checkpoints as they appear."""

from __future__ import annotations

import json
import signal
import time

import pytest
import torch
from torch import nn

import weightspace
from support.commands import printed, refused
from support.copies import command
from support.populations import synthetic_zoo
from weightspace.errors import DataError, UsageError
from weightspace.recording import Recorder, watch
from weightspace.recording.live import line


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    zoo = synthetic_zoo(folder / "zoo", nets=60)
    weightspace.fit(zoo, slice_length=1000).save(folder / "model")
    return folder / "model"


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 50), nn.ReLU(), nn.Linear(50, 10))


def test_a_line_at_each_snapshot(tmp_path, model):
    lines: list[str] = []
    recorder = Recorder(
        tmp_path / "zoo",
        {"dataset": "digits"},
        snapshots=3,
        total_steps=1000,
        live=model,
        say=lines.append,
    )
    with recorder.run(net(), name="a", learning_rate=0.00123456, augmentation=True) as run:
        run.step(step=500)
        run.step(step=1000)
    assert [text.partition(": ")[0] for text in lines] == [
        *("a, step 0 of 1,000", "a, step 500 of 1,000", "a, step 1,000 of 1,000")
    ]
    assert "outside of the model's population: no convolution; the population has 2; " in lines[0]
    zoo = weightspace.Zoo(tmp_path / "zoo")
    answer = weightspace.Model.load(model).predict(zoo.vector("a"), zoo.layout("a"))
    assert lines[-1].partition(": ")[2] == line(answer)


def test_a_line_of_a_net_of_the_population(model):
    zoo = weightspace.Zoo(model.parent / "zoo")
    fitted = weightspace.Model.load(model)
    answers = [fitted.predict(zoo.vector(net), zoo.layout(net)) for net in zoo.nets["net"][:20]]
    answer = next(one for one in answers if not one.outside)
    text = line(answer, {"filter_size": 3, "learning_rate": 0.00123456, "augmentation": True})
    for reading in answer.readings.values():
        said = f"{reading.property} {reading.level or 'none of these?'}"
        unsure = "?" if reading.conditional else ""
        said += f"{unsure} {100 * reading.probability:.0f} %" if reading.level else ""
        assert said in text
    assert "(0.001235)" in text
    assert "(true)" in text
    assert "(unknown)" in text


def test_what_the_model_cannot_read_does_not_end_the_training(tmp_path, model):
    lines: list[str] = []
    recorder = Recorder(tmp_path / "zoo", snapshots=[0, 1], live=str(model), say=lines.append)
    small = nn.Linear(3, 2)
    with recorder.run(small, name="a") as run:
        with torch.no_grad():
            small.weight[0] = torch.inf
        run.step()
    assert lines[1] == "a, step 1: has values that are not finite"
    assert weightspace.Zoo(tmp_path / "zoo").snapshots.height == 2
    with pytest.raises(DataError, match=r"model\.json"):
        Recorder(tmp_path / "zoo", live=tmp_path)


def test_checkpoints_that_are_there(tmp_path, model, capsys):
    torch.save(net().state_dict(), tmp_path / "a.pt")
    (tmp_path / "epoch-2").mkdir()
    torch.save({"model": net().state_dict(), "epoch": 2}, tmp_path / "epoch-2" / "b.ckpt")
    (tmp_path / "c.pt").write_bytes(b"PK\x03\x04")
    (tmp_path / "notes.txt").touch()
    found = {one.file: one for one in watch(tmp_path, model, once=True)}
    assert set(found) == {"a.pt", "epoch-2/b.ckpt", "c.pt"}
    expected = weightspace.predict(model, tmp_path / "a.pt").answer
    assert found["a.pt"].answer == expected
    assert "c.pt" in found["c.pt"].problem
    said = printed(capsys, "watch", tmp_path, "--model", model, "--once")
    assert f"a.pt: {line(expected)}\n" in said
    assert "c.pt: not read: " in said
    said = printed(capsys, "watch", tmp_path, "--model", model, "--once", "--json")
    assert {json.loads(text)["file"] for text in said.splitlines()} == set(found)
    assert "is not a folder" in refused(capsys, "watch", tmp_path / "x", "--model", model)
    with pytest.raises(UsageError, match="0 is no time to wait"):
        next(watch(tmp_path, model, every=0))


def test_runs_of_a_zoo_that_is_being_recorded(tmp_path, model, capsys):
    zoo = tmp_path / "runs"
    options = {"snapshots": [0, 1, 2, 3], "dtype": "bfloat16"}
    recorder = Recorder(zoo, {"dataset": "digits"}, **options)
    with recorder.run(net(), name="whole", augmentation=True) as run:
        run.step(step=3)
    run = recorder.run(net(), name="open", augmentation=True)
    run.step(step=2)
    run._journal.flush()
    torch.save(net().state_dict(), tmp_path / "a.pt")
    waiting = watch(tmp_path, model, every=0.01)
    found = [next(waiting) for _ in range(3)]
    whole, opened, file = found
    assert [one.file for one in found] == ["runs/whole", "runs/open", "a.pt"]
    assert [one.step for one in found] == [3, 2, None]
    vector = weightspace.Zoo(zoo).vector("whole")  # the nets are the same
    expected = weightspace.Model.load(model).predict(vector, weightspace.Zoo(zoo).layout("whole"))
    assert whole.answer == opened.answer == expected
    assert whole.known["dataset"] == opened.known["dataset"] == "digits"
    assert file.answer is not None
    run.step(step=3)
    run.close()  # it may be seen before or after it comes into the zoo, but once
    torch.save(nn.Sequential(net(), nn.Linear(10, 9)).state_dict(), tmp_path / "b.pt")
    found = [next(waiting) for _ in range(2)]
    assert [(one.file, one.step) for one in found] == [("runs/open", 3), ("b.pt", None)]
    said = printed(capsys, "watch", zoo, "--model", model, "--once")
    assert said.startswith(f"whole, step 3: {line(expected, whole.known)}\n")
    assert "open, step 3: " in said
    said = printed(capsys, "watch", zoo, "--model", model, "--once", "--json")
    assert [json.loads(text)["step"] for text in said.splitlines()] == [3, 3]


def test_a_run_that_cannot_be_read_is_told_once(tmp_path, model):
    zoo = tmp_path / "zoo"
    run = Recorder(zoo, snapshots=[0, 1]).run(net(), name="open")
    run.step()
    run._journal.leave()
    (state,) = (zoo / "states").iterdir()
    data = state.read_bytes()
    state.write_bytes(data.replace(b"open", b"opem"))
    torch.save(net().state_dict(), tmp_path / "zoo" / "a.pt")
    waiting = watch(zoo, model, every=0.01)
    found = [next(waiting) for _ in range(2)]
    assert "is damaged (its checksum does not fit)" in found[0].problem
    assert found[1].file == "a.pt"


def test_a_sampled_zoo_is_not_watched(tmp_path, model, capsys):
    zoo = synthetic_zoo(tmp_path / "zoo", nets=10)
    line = refused(capsys, "watch", zoo.path, "--model", model)
    assert "is a zoo of nets that were not recorded, in which no checkpoints appear" in line
    assert list(watch(tmp_path, model, once=True)) == []


def test_checkpoints_that_appear(tmp_path, model):
    folder = tmp_path / "in"
    folder.mkdir()
    process = command("watch", folder, "--model", model, "--every", "0.05")

    def wait_for(count: int) -> list[str]:
        until = time.monotonic() + 60
        while len(lines := process.said().splitlines()) < count and time.monotonic() < until:
            time.sleep(0.02)
        return lines

    torch.save(net().state_dict(), folder / "a.pt")
    assert len(wait_for(1)) == 1
    torch.save(net().state_dict(), folder / "b.pt")
    assert len(wait_for(2)) == 2
    torch.save(nn.Sequential(net(), nn.Linear(10, 9)).state_dict(), folder / "a.pt")
    lines = wait_for(3)
    assert [text.partition(":")[0] for text in lines] == ["a.pt", "b.pt", "a.pt"]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert process.communicate()[1] == ""
