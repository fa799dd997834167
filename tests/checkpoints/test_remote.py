"""Checkpoints at a URL and on a stand-in for the hub: fetched by ranges, no more than is needed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from support import one_net
from support.range_server import Served, serving
from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.checkpoints.files import read_contents
from weightspace.errors import DataError

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

ASSETS = Path(__file__).parents[1] / "assets" / "formats"
SHA = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def server(tmp_path) -> Iterator[Served]:
    (tmp_path / "www").mkdir()
    with serving(tmp_path / "www") as served:
        yield served


@pytest.fixture
def hub(server, monkeypatch) -> Path:
    """The folder of a model on the hub."""
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    model = server.folder / "some" / "net" / "resolve" / SHA
    model.mkdir(parents=True)
    return model


def listed(server: Served, model: Path, revision: str = "main") -> None:
    """Make the hub say which files the model has."""
    place = server.folder / "api" / "models" / "some" / "net" / "revision" / revision
    place.parent.mkdir(parents=True, exist_ok=True)
    files = [p.relative_to(model).as_posix() for p in model.rglob("*") if p.is_file()]
    place.write_text(json.dumps({"sha": SHA, "siblings": [{"rfilename": f} for f in files]}))


def state() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in one_net.tensors().items()}


@pytest.mark.parametrize(
    "name",
    ["keras.h5", "keras.keras", "torch.onnx", "outside.onnx", "flax.msgpack", "net.safetensors",
     "net.pt", "old.pt"],
)  # fmt: skip
def test_every_form_at_a_url(server, name):
    for asset in ASSETS.iterdir():
        shutil.copyfile(asset, server.folder / asset.name)
    safetensors.torch.save_file(state(), server.folder / "net.safetensors")
    torch.save(state(), server.folder / "net.pt")
    torch.save(state(), server.folder / "old.pt", _use_new_zipfile_serialization=False)
    read = read_checkpoint(f"{server.url}/{name}")
    np.testing.assert_array_equal(read.vector, one_net.vector())


def test_only_what_is_needed_is_fetched(server):
    whole = {"small.weight": torch.ones(2, 2), "large.mask": torch.ones(3000, 1000)}
    safetensors.torch.save_file(whole, server.folder / "net.safetensors")
    assert read_checkpoint(f"{server.url}/net.safetensors", key="").layout.size == 4
    assert server.sent() < 2**18


def test_a_model_of_the_hub(server, hub):
    torch.save(state(), hub / "pytorch_model.bin")
    safetensors.torch.save_file(state(), hub / "model.safetensors")
    (hub / "more").mkdir()
    shutil.copyfile(ASSETS / "keras.h5", hub / "more" / "net.h5")
    listed(server, hub)
    listed(server, hub, "v1.0")
    for name, form in (
        ("hf://some/net", "safetensors"),
        ("hf://some/net@v1.0", "safetensors"),
        ("hf://some/net/pytorch_model.bin", "torch"),
        ("hf://some/net@v1.0/more/net.h5", "Keras"),
    ):
        read = read_checkpoint(name)
        assert read.form == form
        np.testing.assert_array_equal(read.vector, one_net.vector())
    with read_contents(Path("hf://some/net")) as (contents, _):
        assert contents.facts["file"] == "model.safetensors"
        assert contents.facts["also"] == ["pytorch_model.bin"]
    assert inspect("hf://some/net").form == "safetensors"


def test_a_model_of_the_hub_in_shards(server, hub):
    whole = state()
    files = {key: f"model-0000{1 + ('bn' in key)}-of-00002.safetensors" for key in whole}
    for file in set(files.values()):
        part = {key: whole[key] for key in whole if files[key] == file}
        safetensors.torch.save_file(part, hub / file)
    (hub / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    listed(server, hub)
    read = read_checkpoint("hf://some/net")
    assert read.form == "safetensors in 2 shards"
    np.testing.assert_array_equal(read.vector, one_net.vector())
    (hub / "model-00002-of-00002.safetensors").unlink()
    listed(server, hub)
    with pytest.raises(DataError, match=r"model-00002-of-00002.safetensors, which is a part of"):
        read_checkpoint("hf://some/net")


def test_what_cannot_be_found_or_understood(server, hub):
    listed(server, hub)
    url = f"{server.url}/some/net/resolve/{SHA}"
    for name, message in (
        ("hf://some", "no name of a model; write hf://OWNER/NAME, or hf://OWNER/NAME/FILE"),
        ("hf://some/net", f"{url}: a folder; name the checkpoint file in it"),
        ("hf://some/net/no.bin", f"{url}/no.bin: no such file"),
        ("hf://some/net/../no.bin", "names no file; write hf://OWNER/NAME/FILE"),
        ("hf://other/net", "other/net"),
        (f"{server.url}/no.bin", "no.bin"),
    ):
        with pytest.raises(DataError) as caught:
            read_checkpoint(name)
        assert message in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
    (server.folder / "api/models/some/net/revision/main").write_text("[" * 1000)
    with pytest.raises(DataError, match="the hub says nothing of it that is understood"):
        read_checkpoint("hf://some/net")


@pytest.mark.parametrize("hostility", ["missing", "closes", "moves to a file", "short", "long"])
def test_a_server_that_gives_something_else(server, hostility):
    safetensors.torch.save_file(state(), server.folder / "net.safetensors")
    server.hostility = hostility
    with pytest.raises(DataError) as caught:
        read_checkpoint(f"{server.url}/net.safetensors")
    assert len(str(caught.value).splitlines()) == 1


def test_files_here_load_nothing_for_urls(tmp_path):
    safetensors.torch.save_file(state(), tmp_path / "net.safetensors")
    code = (
        "import sys; from weightspace.checkpoints import inspect; "
        f"inspect({str(tmp_path / 'net.safetensors')!r}); "
        "sys.exit('aiohttp' in sys.modules or 'fsspec' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
