"""Zoos at URLs: real servers, and few bytes."""

from __future__ import annotations

import gc
import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

from support.comparing import expect_equal
from support.populations import synthetic_zoo
from support.range_server import serving
from weightspace.cli.app import run
from weightspace.errors import DataError, UsageError
from weightspace.zoo import SliceDataset, Zoo, write_index
from weightspace.zoo.reading.remote import shards as remoteshards
from weightspace.zoo.reading.remote import source as remote

fsspec = pytest.importorskip("fsspec")
aiohttp = pytest.importorskip("aiohttp")

QUICK = {"client_kwargs": {"timeout": aiohttp.ClientTimeout(sock_connect=1, sock_read=0.5)}}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("remote") / "zoo"
    synthetic_zoo(path, nets=24, unit_size=8)
    write_index(path)
    return path


@pytest.fixture
def bare(path, tmp_path):
    """The same zoo without its index."""
    shutil.copytree(path, tmp_path / "bare", ignore=shutil.ignore_patterns("index"))
    return tmp_path / "bare"


@pytest.mark.parametrize("indexed", ["index", "no index, but a listing"])
def test_a_zoo_behind_http_is_the_zoo(path, bare, indexed):
    folder = path if indexed == "index" else bare
    with serving(folder, listing=indexed != "index") as served:
        expect_equal(Zoo(served.url), Zoo(path))


def test_a_zoo_in_any_file_system_of_fsspec_is_the_zoo(path, bare):
    expect_equal(Zoo(f"file://{path}"), Zoo(path))
    memory = fsspec.filesystem("memory")
    memory.put(str(bare), "/bare", recursive=True)
    expect_equal(Zoo("memory://bare"), Zoo(path))
    assert Zoo("memory://bare").rounds == Zoo(path).rounds
    memory.rm("/bare", recursive=True)


def test_a_slice_moves_its_bytes_and_no_more(path):
    with serving(path) as served:
        zoo = Zoo(served.url)
        opened = served.sent()
        tables = sum(file.stat().st_size for file in (path / "index").iterdir())
        assert opened <= tables + 2 * (path / "zoo.json").stat().st_size
        vector = 4 * int(zoo.snapshots["length"].max())
        zoo.slices(1, 5000)  # and the vector that it is of, to compare
        assert 4 * 5000 < served.sent("shards/") <= 4 * 5000 + vector
        zoo.slices(64, 5000, seed=1)
        shards = zoo.snapshots["shard"].n_unique()
        compared = served.sent("shards/") - 65 * 4 * 5000
        assert vector < compared <= 2 * shards * vector
        zoo.slices(64, 5000, seed=1)  # enough was compared
        assert served.sent("shards/") == 129 * 4 * 5000 + compared
        # the tables were fetched once
        assert served.sent() - served.sent("shards/") <= tables + 2 * 10**4
        before = served.sent("shards/")
        zoo.vector(zoo.nets["net"][0])
        assert served.sent("shards/") == before + 4 * zoo.layout(zoo.nets["net"][0]).size


def test_gaps_of_running_statistics_are_all_that_is_read_besides(path):
    with serving(path) as served:
        zoo = Zoo(served.url)
        zoo.slices(40, 5000, running_stats=False)  # after which no shard is compared any more
        before = served.sent("shards/")
        zoo.slices(20, 5000, seed=1, running_stats=False)
        assert 20 * 4 * 5000 <= served.sent("shards/") - before < 20 * 4 * 5000 * 1.02


def test_it_travels_to_other_processes(path):
    with serving(path) as served:
        zoo = pickle.loads(pickle.dumps(Zoo(served.url, QUICK)))
        expected = Zoo(path).slices(8, 100).values
        np.testing.assert_array_equal(zoo.slices(8, 100).values, expected)
        code = (
            "import pickle, sys; zoo = pickle.load(sys.stdin.buffer);"
            "print(zoo.slices(8, 100).values.tobytes().hex())"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], input=pickle.dumps(zoo), capture_output=True, check=True
        )
        assert bytes.fromhex(done.stdout.decode()) == expected.tobytes()


def test_what_was_fetched_is_removed(path):
    zoo = Zoo(f"file://{path}")
    folder = zoo.path
    assert folder.is_dir()
    assert folder != path
    del zoo
    assert not folder.exists()


def test_a_file_larger_than_guessed_is_fetched_alone(bare, path, monkeypatch):
    monkeypatch.setattr(remote, "_HELD", 2**12)  # of which each has a small part
    with serving(bare, listing=True) as served:
        expect_equal(Zoo(served.url), Zoo(path))


def test_long_reads_are_asked_for_in_pieces(path, monkeypatch):
    monkeypatch.setattr(remoteshards, "_PIECE", 10_000)
    monkeypatch.setattr(remoteshards, "_HELD", 50_000)
    with serving(path) as served:
        expect_equal(Zoo(served.url), Zoo(path))
        sizes = [size for name, size in served.asked if "shards/" in name]
        assert max(sizes) == 10_000


def test_a_server_that_is_not_there_is_one_line(path):
    with serving(path) as served:
        url = served.url
    with pytest.raises(DataError, match=r"zoo\.json: cannot be read \(.*check the address"):
        Zoo(url)


@pytest.mark.parametrize(
    ("url", "told"), [("nonsense://x/y", "nonsense://x/y: cannot be opened .*nonsense")]
)
def test_an_address_of_no_kind_is_refused(url, told):
    with pytest.raises(UsageError, match=told):
        Zoo(url)


def test_without_fsspec_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError, match=r"pip install 'weightspace\[remote\]'"):
        Zoo("s3://bucket/zoo")


def test_without_aiohttp_the_message_says_what_to_install(monkeypatch):
    import fsspec

    def lacking(*_, **__):
        raise ImportError('HTTPFileSystem requires "requests" and "aiohttp" to be installed')

    monkeypatch.setattr(fsspec.core, "url_to_fs", lacking)
    with pytest.raises(UsageError, match=r"aiohttp.*; `pip install 'weightspace\[remote\]'`"):
        Zoo("http://127.0.0.1:1/zoo")


def test_commands_that_read_take_a_url(path, tmp_path, capsys):
    with serving(path) as served:
        assert run(["info", served.url, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["path"], told["bytes"], told["nets"]) == (
            served.url,
            None,
            Zoo(path).nets.height,
        )
        out = tmp_path / "out"
        assert run(["export", served.url, str(out), "--format", "safetensors"]) == 0
        net = Zoo(path).nets["net"][0]
        assert (out / net / "001.safetensors").exists()


@pytest.mark.parametrize(
    "typed",
    [
        ["check", "URL"],
        ["repair", "URL"],
        ["index", "URL"],
        ["merge", "URL", "ZOO"],
        ["export", "ZOO", "URL", "--format", "safetensors"],
        ["sample", "demo", "--nets", "1", "--out", "URL"],
        ["evaluate", "ZOO", "--out", "URL"],
    ],
)
def test_commands_that_write_refuse_a_url_and_make_no_folder_of_its_name(
    path, tmp_path, monkeypatch, capsys, typed
):
    monkeypatch.chdir(tmp_path)
    names = {"URL": "s3://bucket/zoo", "ZOO": str(path)}
    assert run([names.get(word, word) for word in typed]) == 2
    told = "error: s3://bucket/zoo: is a URL, which can only be read from; give a folder here\n"
    assert capsys.readouterr().err == told
    assert not list(tmp_path.iterdir())


def test_a_zoo_in_s3_is_the_zoo(path):
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        options = {
            "key": "key", "secret": "secret", "endpoint_url": f"http://{host}:{port}"
        }  # fmt: skip
        bucket = fsspec.filesystem("s3", **options)
        bucket.mkdir("zoos")
        bucket.put(str(path), "zoos/zoo", recursive=True)
        expect_equal(Zoo("s3://zoos/zoo", options), Zoo(path))
        bucket.rm("zoos/zoo/index", recursive=True)
        expect_equal(Zoo("s3://zoos/zoo", options), Zoo(path))
    finally:
        server.stop()


# Python 3.12 warns of every fork of a process with threads; these forget them and open anew.
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, which this system has not")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_process_leaves_the_connections_of_its_parent_alone(path):
    with serving(path) as served:
        zoo = Zoo(served.url, storage_options=QUICK)
        expected = zoo.slices(3, 100).values
        child = os.fork()
        if not child:
            try:
                zoo.slices(3, 100)
                gc.collect()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        np.testing.assert_array_equal(zoo.slices(3, 100).values, expected)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_workers_of_a_data_loader_fetch_for_themselves(path):
    from torch.utils.data import DataLoader

    expected = SliceDataset(path, 4, 200)
    with serving(path) as served:
        data = SliceDataset(served.url, 4, 200)
        folder = data.zoo.path
        loader = DataLoader(data, batch_size=24, num_workers=2)
        found = np.concatenate([batch["values"].numpy() for batch in loader])
        np.testing.assert_array_equal(found, expected.batch(np.arange(len(expected))).values)
        assert folder.exists()  # no worker took it away with it
        data[0]
