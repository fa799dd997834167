"""Archives of zoos: what is unpacked, and what is refused with one line."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from warnings import catch_warnings

import numpy as np
import pytest

from weightspace.app import archives
from weightspace.app.examples import ZOO, file_of
from weightspace.disk import InnerPath, make_root
from weightspace.errors import DataError
from weightspace.zoo import Zoo

MOST = 2**21
MANIFEST = ("a/zoo.json", b"{}")
Files = tuple[tuple[str, bytes], ...]


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files:
            with catch_warnings(action="ignore"):  # of names that are there twice
                archive.writestr(zipfile.ZipInfo(name), data, method)
    return made.getvalue()


def tarred(*files: tuple[str, bytes], mode: str = "w", kind: bytes = tarfile.REGTYPE) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size, member.type = len(data), kind if name == "special" else tarfile.REGTYPE
            member.linkname = "/etc/passwd"
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def compressed(*files: tuple[str, bytes]) -> bytes:
    return tarred(*files, mode="w:gz")


def unpacked(data: bytes, folder: Path, most: int = MOST) -> InnerPath:
    (folder / "upload").write_bytes(data)
    return archives.unpack(InnerPath(folder, ("upload",)), make_root(folder / "unpacked"), most)


def refused(data: bytes, folder: Path, most: int = MOST) -> str:
    """The line by which an archive is refused; nothing may lie outside of its folder."""
    with pytest.raises(DataError) as caught:
        unpacked(data, folder, most)
    assert sorted(path.name for path in folder.iterdir()) == ["unpacked", "upload"]
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert sum(path.stat().st_size for path in folder.rglob("unpacked/**/*.*")) <= most
    line = str(caught.value)
    assert "\n" not in line
    assert str(folder) not in line
    return line


def example() -> Files:
    with zipfile.ZipFile(io.BytesIO(file_of(ZOO)[1])) as archive:
        return tuple((name, archive.read(name)) for name in archive.namelist())


@pytest.mark.parametrize(("pack", "prefix"), [(zipped, "a/b/"), (tarred, "./"), (compressed, "")])
def test_a_zoo_is_unpacked_wherever_it_lies(pack: Callable, prefix: str, tmp_path: Path) -> None:
    files = [(name.replace("digits/", prefix), data) for name, data in example()]
    zoo = Zoo(unpacked(pack(*files), tmp_path).path)
    assert zoo.nets.height == 48
    assert np.isfinite(zoo.vector(zoo.nets["net"][0])).all()


def test_the_example_is_small() -> None:
    assert len(file_of(ZOO)[1]) < 700_000


@pytest.mark.parametrize("pack", [zipped, tarred, compressed])
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((MANIFEST, ("../b", b"x")), "../b in it would lead out of its folder"),
        ((MANIFEST, ("a/../../b", b"x")), "a/../../b in it would lead out of its folder"),
        ((MANIFEST, ("/tmp/b", b"x")), "/tmp/b in it would lead out of its folder"),
        ((MANIFEST, ("C:\\b", b"x")), "in it would lead out of its folder"),
        ((MANIFEST, ("\\\\host\\b", b"x")), "in it would lead out of its folder"),
        ((MANIFEST, ("a/b\x1b[2J", b"x")), "in it would lead out of its folder"),
        ((MANIFEST, ("a/" * 9 + "b", b"x")), "in it is no file of a zoo"),
        ((MANIFEST, ("a/b", b"x"), ("a/b", b"y")), "a/b is in it twice"),
        ((MANIFEST, ("a/b", b"x"), ("a/./b", b"y")), "a/./b is in it twice"),
        ((MANIFEST, ("a/b", bytes(MOST))), "its files have more than 2 MB together"),
        ((("a/b", b"x"),), "no zoo.json is in it"),
        ((), "no zoo.json is in it"),
        ((MANIFEST, ("b/zoo.json", b"{}")), "it holds 2 zoos; pack one"),
    ],
)
def test_what_is_no_zoo_is_refused(pack: Callable, files: Files, said: str, tmp_path: Path) -> None:
    assert said in refused(pack(*files), tmp_path)


@pytest.mark.parametrize("pack", [zipped, tarred, compressed])
def test_a_file_where_a_folder_should_be_is_refused(pack: Callable, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        unpacked(pack(("a", b"x"), ("a/zoo.json", b"{}")), tmp_path)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_MOST_FILES", 3)
    files = [(f"a/{number}", b"") for number in range(4)]
    assert "it holds more than 3 files" in refused(zipped(*files), tmp_path)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    line = refused(tarred(MANIFEST, ("special", b""), kind=kind), tmp_path)
    assert "special in it is a link or a device" in line


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(mode: int, tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        member = zipfile.ZipInfo("special")
        member.create_system, member.external_attr = 3, (mode | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    assert "special in it is a link or a device" in refused(made.getvalue(), tmp_path)


def test_bombs_are_refused(tmp_path: Path) -> None:
    """The sizes that an archive states may be wrong, and headers may be as long as files."""
    whole = bytearray(zipped(MANIFEST, ("a/b", bytes(2**23)), method=zipfile.ZIP_DEFLATED))
    for at in (whole.rindex(b"a/b") - 46 + 24, whole.index(b"a/b") - 30 + 22):
        whole[at : at + 4] = (100).to_bytes(4, "little")  # instead of 8 MB
    assert "is no whole .zip" in refused(bytes(whole), tmp_path)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a/zoo.json")
        member.pax_headers = {"comment": "x" * 2**25}
        archive.addfile(member)
    assert "it has more bytes than its files explain" in refused(made.getvalue(), tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"no archive", b"PK\x03\x04", b"\x1f\x8b\x08\x00", bytes(100)),
        tarred(MANIFEST, mode="w:bz2"),
        tarred(MANIFEST, mode="w:xz"),
        zipped(MANIFEST)[:-30],
        compressed(MANIFEST, ("a/b", np.random.default_rng(0).bytes(30_000)))[:-9_000],
        tarred(MANIFEST, ("a/b", b"x" * 30_000))[:15_000],
    ],
)
def test_what_is_no_whole_archive_is_refused(data: bytes, tmp_path: Path) -> None:
    assert "; pack the folder of the zoo as .zip, .tar or .tar.gz" in refused(data, tmp_path)


def test_what_is_packed_in_another_way_is_refused(tmp_path: Path) -> None:
    said = "zoo.json is encrypted or packed in a way that is not read"
    assert said in refused(zipped(MANIFEST, method=zipfile.ZIP_LZMA), tmp_path)
    whole = bytearray(zipped(MANIFEST))
    for at in (whole.rindex(MANIFEST[0].encode()) - 46 + 8, 6):
        whole[at] |= 1  # says that it is encrypted
    assert said in refused(bytes(whole), tmp_path)


@pytest.mark.parametrize("pack", [zipped, tarred, compressed])
def test_damaged_bytes_give_one_line(pack: Callable, tmp_path: Path) -> None:
    whole = pack(MANIFEST, ("a/b", b"some text " * 50), ("a/c/d", b"\0" * 700))
    generator = np.random.default_rng(0)
    lines = []
    for number in range(15):
        damaged = bytearray(whole)
        for at in generator.integers(0, min(len(whole), 2600), 3):
            damaged[at] = generator.integers(256)
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            unpacked(bytes(damaged), folder)
        except DataError as error:
            lines.append(str(error))
        assert sorted(path.name for path in folder.iterdir()) == ["unpacked", "upload"]
    assert len(lines) > 3
    assert "\n" not in "".join(lines)
