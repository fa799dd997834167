"""Jobs and uploads without a browser: names, places of files, and the process of an audit."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from weightspace import disk
from weightspace.app.actions import Actions, Asked
from weightspace.app.examples import EXAMPLES, card, file_of
from weightspace.app.jobs import Failure, Result, Step, hub_name
from weightspace.app.limits import Limits
from weightspace.app.uploads import Uploads
from weightspace.audit import audit, claims_in
from weightspace.disk import InnerPath
from weightspace.errors import UsageError

LIMITS = Limits(upload=1000, stored=2500, kept=100.0)


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(InnerPath(tmp_path), LIMITS)


def stored(uploads: Uploads, name: str = "net.pt", data: bytes = b"x" * 1000) -> str:
    """Where an upload lies, as the browser is told."""
    place = uploads.room() / "hash"
    disk.make_folder(place)
    disk.write_file(place / name, data)
    return str((place / name).path)


def left(uploads: Uploads) -> list[Path]:
    return [path for path in uploads.root.path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "name", ["hf://a/b", "hf://a/b@main", "hf://a/b.c/model.safetensors", " hf://a/b/x/y.pt\n"]
)
def test_names_on_the_hub(name: str) -> None:
    assert hub_name(name) == name.strip()


@pytest.mark.parametrize(
    "name",
    ["net.pt", "/etc/passwd", "http://a/b", "hf://a", "hf://a/../../b", "hf:///etc/passwd",
     "hf://a/b?x=1", "file:///a/b", "hf://a/b\nhf://c/d", "hf://localhost:80/b"],
)  # fmt: skip
def test_what_is_no_name_on_the_hub(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a model on the hub"):
        hub_name(name)


def test_an_upload_is_moved_into_its_job(uploads: Uploads) -> None:
    path, folder = stored(uploads), uploads.job_folder()
    assert uploads.put(folder, path, "", ()) == "net.pt"
    assert left(uploads) == [folder.path / "net.pt"]
    with pytest.raises(UsageError, match=r"net\.pt: is no longer here.*; drop it again"):
        uploads.put(folder, path, "", ())


def test_only_uploads_are_read(uploads: Uploads, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret", encoding="utf-8")
    there = Path(stored(uploads, "card.md", b"lr: 0.1"))
    for path in (
        tmp_path / "secret.md",
        there.parents[2] / ".." / "secret.md",
        there.parents[1] / ".." / there.parents[1].name / "hash" / ".." / "hash" / "card.md",
        "/etc/passwd",
        there.parent,
        "",
    ):
        with pytest.raises(UsageError, match="is no longer here"):
            uploads.text_of(str(path))
    (there.parent / "link.md").symlink_to(tmp_path / "secret.md")
    with pytest.raises(UsageError, match="is no longer here"):
        uploads.text_of(str(there.parent / "link.md"))
    assert uploads.text_of(str(there)) == "lr: 0.1"
    assert left(uploads) == [tmp_path / "secret.md"]


def test_cards_that_are_no_text(uploads: Uploads) -> None:
    path = stored(uploads, "card.md", b"\xff\xfe")
    with pytest.raises(UsageError, match=r"card\.md: is no text in UTF-8"):
        uploads.text_of(path)
    assert left(uploads) == []


def test_uploads_take_limited_room_for_a_limited_time(uploads: Uploads, tmp_path: Path) -> None:
    first = stored(uploads)
    stored(uploads)
    with pytest.raises(UsageError, match="too many files wait for their audits; try again soon"):
        uploads.room()
    uploads.forget(first)
    stored(uploads)
    short = Uploads(disk.make_root(tmp_path / "other"), Limits(kept=0.0))
    stored(short)
    short.remove_old()
    assert left(short) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_what_they_are_called(name: str, tmp_path: Path) -> None:
    file, data = file_of(name)
    (tmp_path / file).write_bytes(data)
    found = audit(tmp_path / file, claims_in(card(name)))
    words = {one.verdict for one in found.verdicts}
    assert len(data) < 20_000
    assert ("contradicted" in words) == (name == "false")
    assert ("consistent" in words) == (name != "open")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(data="../secret"), "data: ../secret is not on this machine"),
        (Asked(data="/tmp/secret.npz"), "data: /tmp/secret.npz is not on this machine"),
        (Asked(seeds=-1), "seeds: -1 is not a number from 0 to 1,000,000"),
        (Asked(seeds=10**9), "seeds: 1,000,000,000 is not a number from 0 to 1,000,000"),
        (Asked(card="lr: fast"), "card:1: learning_rate: 'fast' is not a positive number"),
    ],
)
def test_what_cannot_be_asked(asked: Asked, said: str, tmp_path: Path) -> None:
    actions = Actions(Uploads(InnerPath(tmp_path), Limits()), Limits())
    assert {"digits", "glyphs", "textures"} <= set(actions.data_sets)

    async def run() -> list:
        chosen = ((None, "example://true", ""),)
        return [said async for said in actions.said("audit", chosen, asked=asked)]

    assert asyncio.run(run()) == [Failure(said, kept=True)]


def test_a_job_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    actions = Actions(Uploads(InnerPath(tmp_path), Limits()), Limits())

    async def run(name: str) -> list:
        chosen = ((None, f"example://{name}", ""),)
        return [said async for said in actions.said("audit", chosen, asked=Asked(card("false")))]

    others = set(psutil.Process().children())  # of earlier tests

    async def broken_off() -> None:
        async with aclosing(actions.said("audit", ((None, "example://true", ""),))) as lines:
            async for _ in lines:
                assert len(set(psutil.Process().children()) - others) == 1
                break
        assert set(psutil.Process().children()) <= others

    *steps, last = asyncio.run(run("false"))
    assert {type(one) for one in steps} == {Step}
    assert steps[-1].done == steps[-1].total
    assert isinstance(last, Result)
    assert last.headline == "1 of 9 claims is contradicted: optimizer momentum"
    assert str(tmp_path) not in last.page + last.document
    assert asyncio.run(run("none")) == [
        Failure("example://none: is none; there are true, false, open, zoo", kept=True)
    ]
    asyncio.run(broken_off())
    assert left(actions.uploads) == []
