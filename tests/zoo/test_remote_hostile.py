"""Zoos at URLs whose servers mean harm, or are broken: one line, and no wrong bytes.

The hostile answers are made in `range_server`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from support import small_units
from support.comparing import expect_equal
from support.populations import synthetic_zoo
from support.range_server import serving
from weightspace import disk
from weightspace.cli.app import run
from weightspace.errors import DataError, UsageError
from weightspace.zoo import SliceDataset, Zoo, write_index
from weightspace.zoo.reading import spotchecks
from weightspace.zoo.reading.remote import server
from weightspace.zoo.reading.remote import shards as remoteshards
from weightspace.zoo.reading.remote import source as remote

fsspec = pytest.importorskip("fsspec")
web = pytest.importorskip("weightspace.zoo.reading.remote.web")


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


OTHER_LENGTH = r"the server gave [\d,a-z]+ bytes instead of [\d,]+; use"
OTHER_BYTES = r"the server gave other bytes \(.*\) than the requested \d+-\d+; use"
SLOW = r"the server is too slow \([\d,]+ bytes in [\d.]+ s\)|cannot be read \(.*"
UNREAD = r"cannot be read \(.*check the address"
TOO_LONG = r"has more than [\d,]+ bytes, more than any zoo needs"
PACKED = r"the server gave it compressed \(.*\), which was not asked for"
LATE = {"silent", "hangs", "drip", "continues", "header lines", "one header", "chunk extension"}
"""They have no end, or none soon; the clock, or a limit of the HTTP library, ends them."""

RANGED = {
    "missing": r"cannot be read \(FileNotFoundError.*check the address",
    "forbidden": UNREAD,
    "silent": SLOW,
    "closes": UNREAD,
    "garbage": UNREAD,
    "no content": OTHER_LENGTH,
    "moves in circles": r"cannot be read \(TooManyRedirects",
    "moves to a file": UNREAD,
    "continues": SLOW,
    "short": OTHER_LENGTH,
    "long": OTHER_LENGTH,
    "long and chunked": OTHER_LENGTH,
    "whole": OTHER_LENGTH + " a server that supports byte ranges",
    "endless": OTHER_LENGTH,
    "said to be huge": OTHER_LENGTH,
    "hangs": SLOW,
    "drip": SLOW,
    "header lines": SLOW,
    "one header": SLOW,
    "trailers": UNREAD,
    "tiny chunks": OTHER_LENGTH,
    "chunk extension": SLOW,
    "gzip": PACKED,
    "deflate": PACKED,
    "honest gzip": PACKED,
    "br": PACKED,
    "twice gzip": PACKED,
    "lies": r"net [0-9a-f]+, snapshot \d: its values are damaged; run `weightspace repair` where",
    "other": r"net [0-9a-f]+, snapshot \d: its values are damaged",
    "wrong": OTHER_BYTES,
    "resized": r"has [\d,]+ bytes instead of [\d,]+, as stated before",
    "other size": r"has 1,000,000,000 bytes instead of [\d,]+, as stated before",
    "multipart": OTHER_BYTES,
    "no range": OTHER_BYTES,
    "odd range": OTHER_BYTES,
    "two ranges": OTHER_BYTES,
}
"""What is said of a part of a shard, by the hostility of the server."""

WHOLE = {
    **{mode: RANGED[mode] for mode in ("missing", "forbidden", "silent", "closes", "garbage")},
    **{mode: RANGED[mode] for mode in ("moves in circles", "moves to a file", "continues")},
    **{mode: RANGED[mode] for mode in ("gzip", "deflate", "honest gzip", "br", "twice gzip")},
    **{mode: RANGED[mode] for mode in ("hangs", "drip", "header lines", "one header")},
    **{mode: RANGED[mode] for mode in ("chunk extension", "trailers")},
    "no content": "the server answered 204 to a request for the whole file",
    "endless": TOO_LONG,
    "said to be huge": TOO_LONG,
    "long and chunked": TOO_LONG,
    "tiny chunks": TOO_LONG,
    "other": "is damaged",
}
"""What is said of a file that is fetched whole."""


@pytest.fixture
def impatient(request, monkeypatch):
    """Give up sooner where the test is of a server that never ends."""
    if LATE & set(request.node.callspec.params.values()):
        monkeypatch.setattr(web, "GRACE", 0.3)
        monkeypatch.setattr(web, "EACH_CALL", 0.4)
        monkeypatch.setattr(web, "EACH_FILE", 0.0)
        monkeypatch.setattr(web, "RATE", 10**9)


def one_line(act, served, about, told):
    with pytest.raises(DataError) as caught:
        act()
    message = str(caught.value)
    assert re.search(told, message), message
    assert re.match(rf"{served.url}[^ ]*{about}", message), message
    assert "\n" not in message
    assert "/tmp" not in message


READS = {
    "vector": lambda zoo: zoo.vector(zoo.nets["net"][3], 2),
    "vectors": lambda zoo: list(zoo.vectors()),
    "slices": lambda zoo: zoo.slices(8, 5000, seed=1),
    "dataset": lambda zoo: SliceDataset(zoo, 1, 2000, seed=1).batch(np.arange(24)),
}


SOME = ["short", "silent", "lies", "wrong", "gzip"]


@pytest.mark.parametrize(
    ("hostility", "read"),
    [*((one, read) for one in RANGED for read in ("vector", "slices")),
     *((one, read) for one in SOME for read in ("vectors", "dataset"))],
)  # fmt: skip
def test_an_answer_about_a_part_that_is_none_is_one_line(path, impatient, hostility, read):
    with serving(path, hostility=hostility, about="shards/") as served:
        zoo = Zoo(served.url)
        one_line(lambda: READS[read](zoo), served, "shards/", RANGED[hostility])


@pytest.mark.parametrize("about", ["zoo.json", "index/nets", "index/snapshots"])
@pytest.mark.parametrize("hostility", WHOLE)
def test_an_answer_about_a_file_that_is_none_is_one_line(
    path, impatient, monkeypatch, hostility, about
):
    monkeypatch.setitem(remote._MOST, "zoo.json", 2**16)
    with serving(path, hostility=hostility, about=about, part="whole") as served:
        one_line(lambda: Zoo(served.url).snapshots, served, about, WHOLE[hostility])


@pytest.mark.parametrize("hostility", ["short", "gzip", "endless", "missing", "drip", "silent"])
def test_without_an_index_that_can_be_read_the_zoo_says_so(path, impatient, monkeypatch, hostility):
    monkeypatch.setitem(remote._MOST, "index/contents.json", 2**22)
    with serving(path, hostility=hostility, about="index/contents") as served:
        told = "has no index that can be read, .*; run `weightspace index` where it lies"
        one_line(lambda: Zoo(served.url), served, "", f"^{served.url}: {told}")


@pytest.mark.parametrize(
    "hostility", ["whole", "resized", "multipart", "no range", "short", "other size", "no content"]
)
def test_a_server_that_knows_no_ranges_is_found_out_at_once(path, hostility):
    with serving(path, hostility=hostility, about="zoo.json", part="bytes") as served:
        one_line(lambda: Zoo(served.url), served, "zoo.json", RANGED[hostility])
        assert not served.sent("shards/")


EVALUATE = ["--permutations", "0", "--properties", "dataset", "--out"]


@pytest.mark.parametrize("hostility", ["gzip", "endless", "drip", "wrong", "garbage"])
def test_info_ends_in_one_line(path, impatient, capsys, hostility):
    about = "index/nets" if hostility == "wrong" else "zoo.json"
    part = "whole" if hostility == "wrong" else ""
    hostility = "other" if hostility == "wrong" else hostility
    with serving(path, hostility=hostility, about=about, part=part) as served:
        assert run(["info", served.url]) == 2
        said = capsys.readouterr()
        assert said.err.startswith(f"error: {served.url}/{about}")
        assert said.err.count("\n") == 1
        assert not said.out


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    """A zoo of which an evaluation can be made."""
    path = tmp_path_factory.mktemp("larger") / "zoo"
    synthetic_zoo(path, nets=40, unit_size=8)
    write_index(path)
    return path


@pytest.mark.parametrize("hostility", ["lies", "wrong", "other", "short", "resized", "gzip"])
def test_evaluate_ends_in_one_line_and_writes_nothing(larger, tmp_path, capsys, hostility):
    out = tmp_path / "out"
    with serving(larger, hostility=hostility, about="shards/") as served:
        assert run(["evaluate", served.url, *EVALUATE, str(out)]) == 2
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert said.startswith(f"error: {served.url}/shards/")
        assert not list(tmp_path.glob("out/*"))


@pytest.mark.slow
def test_evaluate_moves_little_more_than_it_reads(larger, tmp_path, monkeypatch):
    moved = []
    for compared in (2, 0):
        monkeypatch.setattr(spotchecks, "_OF_SHARD", compared)
        with serving(larger) as served:
            out = tmp_path / str(compared)
            assert run(["evaluate", served.url, *EVALUATE, str(out)]) == 0
            moved.append(served.sent())
    assert 1 < moved[0] / moved[1] < 1.3


def test_comparing_costs_a_quarter_of_what_is_read_at_most(path, monkeypatch):
    monkeypatch.setattr(spotchecks, "_OF_SHARD", 10**6)
    monkeypatch.setattr(spotchecks, "_ADVANCE", 0)
    with serving(path) as served:
        zoo = Zoo(served.url)
        for seed in range(10):
            zoo.slices(40, 1000, seed=seed)
        read = 10 * 40 * 4 * 1000
        assert 1.15 * read < served.sent("shards/") <= 1.25 * read


def test_nothing_is_asked_for_compressed_and_no_cookie_is_kept(path):
    with serving(path) as served:
        url = served.url.replace("127.0.0.1", "localhost")  # addresses set no cookies
        Zoo(url, {"headers": {"accept-encoding": "gzip", "X-Key": "1"}}).slices(3, 100)
        said = [{name.lower(): value for name, value in one.items()} for one in served.headers]
        assert {one["accept-encoding"] for one in said} == {"identity"}
        assert {one["x-key"] for one in said} == {"1"}
        assert not any("cookie" in one for one in said)


def test_memory_stays_that_of_what_may_be_asked_for(path, monkeypatch):
    import resource

    with serving(path, hostility="endless", about="zoo.json") as served:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        one_line(lambda: Zoo(served.url), served, "zoo.json", TOO_LONG)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # KiB


def test_time_grows_with_what_comes(path, monkeypatch):
    monkeypatch.setattr(web, "GRACE", 0.2)
    monkeypatch.setattr(web, "EACH_CALL", 0.2)
    monkeypatch.setattr(web, "RATE", 100)  # a second more for 100 bytes
    with serving(path, hostility="slow", about="zoo.json", part="whole") as served:
        assert Zoo(served.url).meta == Zoo(path).meta  # which takes a second


def test_a_server_that_is_slow_again_and_again_has_used_up_its_grace(path, monkeypatch):
    monkeypatch.setattr(web, "GRACE", 0.6)
    monkeypatch.setattr(web, "EACH_CALL", 0.0)
    monkeypatch.setattr(web, "EACH_FILE", 0.05)
    monkeypatch.setattr(web, "RATE", 10**9)
    with serving(path) as served:
        zoo = Zoo(served.url)
        served.hostility, served.about = "late", "shards/"  # by a fifth of a second
        READS["vector"](zoo)

        def again_and_again():
            for _ in range(8):
                READS["vector"](zoo)

        one_line(again_and_again, served, "shards/", "the server is too slow")


@pytest.mark.parametrize("indexed", [True, False])
def test_what_is_fetched_is_bounded_in_total(path, bare, monkeypatch, indexed):
    folder = path if indexed else bare
    files = [*folder.glob("zoo.json"), *folder.glob("index/[cn]*" if indexed else "nets/*")]
    most = sum(file.stat().st_size for file in files)
    monkeypatch.setattr(remote, "_MOST_FETCHED", most)
    told = r"its tables have more than [\d,]+ bytes; copy the zoo to this machine"
    with serving(folder, listing=not indexed) as served:
        zoo = Zoo(served.url)
        assert sum(file.stat().st_size for file in zoo.path.rglob("*.*")) == most
        one_line(lambda: zoo.snapshots, served, "", told)
        monkeypatch.setattr(remote, "_MOST_FETCHED", most - 1)
        one_line(lambda: Zoo(served.url), served, "", told)


def test_a_list_of_too_many_units_needs_an_index(bare, monkeypatch):
    monkeypatch.setattr(remote, "_MOST_FILES", 3)
    with serving(bare, listing=True) as served:
        told = r"its nets has 4 files, at most 3 can be read\); run `weightspace index`"
        (bare / "nets" / "another-1.parquet").write_bytes(b"")
        with pytest.raises(DataError, match=told):
            Zoo(served.url)


PAGE = """<a href="../nets/{0}.parquet">up and down</a> <a href='{0}.parquet'>again</a>
<a href="../../../etc/x.parquet">out</a> <a href="/x/abc.parquet">elsewhere</a>
<a href="http://example.org/nets/abc.parquet">far</a> <a href="..%2f..%2fabc.parquet">coded</a>
<a href="a/b.parquet">below</a> <a href=".hidden.parquet">hidden</a> <a href="A B.parquet">odd</a>
<a href="&#47;etc&#47;passwd.parquet">entity</a> <a href="http://[x/.parquet">no address</a>
<a href="?C=N;O=D">sort</a> <a href="{1}.parquet?x=1#y">with a question</a>"""


def test_names_in_a_list_that_are_no_units_are_passed_over(bare, path, tmp_path):
    units = sorted(file.stem for file in (bare / "nets").iterdir())
    for folder in ("nets", "rounds"):
        (bare / "lists").mkdir(exist_ok=True)
        lines = [f'<a href="{unit}.parquet">' for unit in units]
        text = PAGE.format(units[0], "abc") + "".join(lines) + "<a " * 10**5 + "href=" * 10**5
        (bare / "lists" / folder).write_text(text)
    before = sorted(tmp_path.rglob("*"))
    with serving(bare, listing=True, pages=bare / "lists") as served:
        zoo = Zoo(served.url)
        assert zoo._units == units
        expect_equal(zoo, Zoo(path))
        assert zoo.rounds == {}
        asked = {path for path, _ in served.asked}
        assert not [one for one in asked if "etc" in one or "abc" in one or "hidden" in one]
    assert sorted(tmp_path.rglob("*")) == before


def test_the_folder_of_what_was_fetched_is_nobody_elses(path):
    zoo = Zoo(f"file://{path}")
    assert stat.S_IMODE(zoo.path.stat().st_mode) == 0o700
    assert zoo.path.parent == Path(tempfile.gettempdir())


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\0b"])
def test_a_name_never_leads_out_of_that_folder(path, name):
    zoo = Zoo(f"file://{path}")
    there = (zoo.path.parent / "x").exists()  # somebody else's
    with pytest.raises(DataError, match="is not a valid name of a file or folder"):
        zoo._source._keep(f"nets/{name}", b"data")
    assert (zoo.path.parent / "x").exists() == there


def test_a_full_disk_is_one_line(path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk, "put", full)
    with serving(path) as served:
        told = "its tables cannot be kept in .*No space left.*TMPDIR"
        with pytest.raises(DataError, match=told):
            Zoo(served.url)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes, which this system has not")
def test_a_pipe_or_a_device_behind_file_is_refused(bare):
    for name, what in (("zoo.json", "/dev/zero"), ("rounds/000001.json", None)):
        file = bare / name
        file.parent.mkdir(exist_ok=True)
        kept = file.read_bytes() if file.exists() else None
        file.unlink(missing_ok=True)
        file.symlink_to(what) if what else os.mkfifo(file)
        with pytest.raises(DataError, match=f"{name}: is not a regular file"):
            _ = Zoo(f"file://{bare}").rounds
        file.unlink()
        if kept:
            file.write_bytes(kept)


@pytest.fixture
def elsewhere(path, monkeypatch):
    """A file system of fsspec that works asynchronously, as that of S3, and its ways to fail."""
    from fsspec.asyn import AsyncFileSystem

    class Elsewhere(AsyncFileSystem):
        protocol = "elsewhere"
        harm = ""

        async def _cat_file(self, name, start=None, end=None, **_):
            if self.harm == "silent":
                await asyncio.sleep(60)
            data = (path / name.removeprefix("/").removeprefix("zoo/")).read_bytes()
            return data if self.harm == "whole" else data[start:end]

    fsspec.register_implementation("elsewhere", Elsewhere, clobber=True)
    monkeypatch.setattr(server, "_TIME", 0.7)
    monkeypatch.setattr(server, "_RATE", 10**9)
    return Elsewhere


def test_other_file_systems_end_in_one_line_as_well(path, elsewhere):
    expect_equal(Zoo("elsewhere://zoo"), Zoo(path))
    zoo = Zoo("elsewhere://zoo")
    zoo.slices(1, 100)
    for harm, told in (("silent", "cannot be read"), ("whole", OTHER_LENGTH)):
        elsewhere.harm = harm
        with pytest.raises(DataError, match=f"^elsewhere://zoo/shards/.*: {told}"):
            zoo.slices(3, 100)
    elsewhere.harm = "silent"
    with pytest.raises(DataError, match=r"^elsewhere://zoo/zoo\.json: cannot be read"):
        Zoo("elsewhere://zoo")


def test_http_behind_another_file_system_is_refused(path):
    with serving(path) as served, pytest.raises(UsageError, match="give the address that begins"):
        Zoo(f"simplecache::{served.url}")


def flipped(folder, name, at):
    """One bit of a file, changed."""
    file = folder / name
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


@pytest.fixture
def damaged(path, tmp_path):
    """The zoo with one bit wrong, in a vector of which slices are drawn: net, snapshot."""
    shutil.copytree(path, tmp_path / "damaged")
    rows = Zoo(path).snapshots
    row = rows.filter(pl.col("snapshot") == 3).row(5, named=True)
    flipped(tmp_path / "damaged" / "shards", row["shard"], row["offset"] + 4 * row["length"] - 1)
    return tmp_path / "damaged", row["net"]


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_one_wrong_bit_of_a_whole_vector_is_found(damaged, scheme):
    folder, net = damaged
    with serving(folder) as served:
        zoo = Zoo(served.url if scheme == "http" else f"file://{folder}")
        told = rf"net {net}, snapshot 3: its values are damaged; run `weightspace repair` where it"
        for read in (
            lambda: zoo.vector(net, 3),
            lambda: zoo.read(net, 3, 0, 5),
            lambda: zoo.verified(net, 3),
            lambda: list(zoo.vectors()),
            lambda: list(zoo.vectors(reuse=True)),
        ):
            with pytest.raises(DataError, match=told):
                read()
        assert len(zoo.vector(net, 2))


def test_all_vectors_of_which_parts_are_read_are_compared_if_asked_for(damaged):
    folder, net = damaged
    with serving(folder) as served:
        strict = Zoo(served.url, {"checksums": "all"})
        strict.slices(20, 100, nets=[net], snapshots=[1, 2, 4, 5])
        with pytest.raises(DataError, match=f"net {net}, snapshot 3: its values are damaged"):
            strict.slices(20, 100, nets=[net])
    with pytest.raises(UsageError, match="checksums 'some': give sample or all"):
        Zoo(served.url, {"checksums": "some"})


def test_a_server_that_gives_sound_vectors_and_false_parts_is_found(path):
    with serving(path, hostility="lies", about="shards/") as served:
        whole = 4 * Zoo(path).snapshots["length"].min()
        served.spares = whole  # who asks for that much is told the truth
        with pytest.raises(DataError, match="other values for a slice than for the whole vector"):
            Zoo(served.url).slices(8, 500, seed=1)


@pytest.mark.parametrize("part", ["all", "conv"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sound_parts_of_every_kind_are_what_the_whole_vectors_hold(path, tmp_path, part, dtype):
    folder = path
    if dtype != "float32":
        folder = tmp_path / "narrow"
        small_units.write(small_units.open_writer(folder, dtype), 0)
        write_index(folder)
    options = {"part": part, "running_stats": False, "seed": 3}
    with serving(folder) as served:
        there = Zoo(served.url, {"checksums": "all"}).slices(60, 100, **options)
        here = Zoo(folder).slices(60, 100, **options)
        np.testing.assert_array_equal(there.values, here.values)


def test_more_than_memory_holds_is_refused_before_it_is_asked_for(path, monkeypatch):
    monkeypatch.setattr(remoteshards, "_memory", lambda: 10_000)
    with serving(path) as served:
        zoo = Zoo(served.url)
        for read in ("vector", "vectors"):
            told = "bytes of it are to be read at once, at most 10,000 fit"
            one_line(lambda read=read: READS[read](zoo), served, "shards/", told)
        assert not served.sent("shards/")
