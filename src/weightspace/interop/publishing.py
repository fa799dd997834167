"""`publish`: upload a zoo as a data set repository of the Hugging Face hub."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError
from weightspace.interop import croissant
from weightspace.interop.card import LICENCES, OTHER, About, card, citation
from weightspace.printable import printable
from weightspace.progress import Progress, silent
from weightspace.zoo import MANIFEST, Zoo, check, opened, write_index
from weightspace.zoo.files import places

_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_SUMS, _CARD, _CROISSANT = "sha256sums.txt", "README.md", "croissant.json"
_LICENCE = "LICENSE"
_TABLES = {name: f"index/{name}-*.parquet" for name in (places.NETS, places.SNAPSHOTS)}
_KEYS = {places.NETS: ["net"], places.SNAPSHOTS: ["net", "snapshot"]}
_PIECE = 2**22
_LARGEST = 2**26
"""The most bytes of a file that is read whole: zoo.json, croissant.json, a million checksums."""
_LARGEST_LICENCE = 2**20


@dataclass(frozen=True)
class Published:
    """A prepared repository.

    Attributes
    ----------
    folder : Path
        The folder.
    repo : str
        The name of the repository.
    files, bytes : int
        The number of files and their total size.
    url : str or None
        Its address on the hub; None if it was not uploaded.
    """

    folder: Path
    repo: str
    files: int
    bytes: int
    url: str | None


def publish(
    zoo: Zoo | str | Path,
    repo: str,
    out: str | Path,
    *,
    licence: str,
    title: str | None = None,
    authors: Sequence[str] = (),
    dry_run: bool = False,
    private: bool = False,
    progress: Progress = silent,
) -> Published:
    """Prepare a zoo as a data set repository in a folder, then upload it.

    The folder is a zoo itself, with an index, a card, croissant.json, CITATION.cff and
    sha256sums.txt. Its files are hard links if the file system allows it. A folder that was
    prepared from the same zoo with the same arguments is uploaded as it is; its card may have been
    edited. So the same call continues an upload that was stopped.

    Parameters
    ----------
    zoo : Zoo, str or Path
        The zoo, or where it lies.
    repo : str
        The name of the repository, OWNER/NAME.
    out : str or Path
        The folder to prepare.
    licence : str
        A licence for the nets that the hub knows by name (`LICENCES`), or the path of a file with
        its text.
    title : str, optional
        The title; by default made from the zoo.
    authors : sequence of str
        The authors; by default the owner.
    dry_run : bool
        Only prepare the folder. No network and no account are needed.
    private : bool
        Whether the repository is private.
    progress : callable, optional
        Called as `progress(task, done, total)` while it works.

    Returns
    -------
    Published

    Raises
    ------
    UsageError
        If an argument cannot work, `out` contains anything else, or the hub's package or a login is
        missing.
    DataError
        If the zoo is damaged.
    """
    out = Path(out)
    places.refuse_url(out)
    zoo = opened(zoo)
    path = zoo.path
    if not disk.is_folder(
        InnerPath(path) / places.SHARDS
    ):  # a zoo at a URL: only its tables are here
        raise UsageError(f"{zoo!r}", "its shards are not on this machine", "fetch the zoo first")
    terms = None if licence in LICENCES else _terms(licence)
    about = _about(zoo, repo, licence, title, authors)
    hub = None if dry_run else _hub()
    if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(path)):
        raise UsageError(out, "is inside the zoo", "choose another folder")
    if dry_run or not _is_prepared(path, out, about, terms):
        _refuse_damage(path, progress)
        with disk.whole_folder(out) as folder:
            _fill(path, folder, about, terms, progress)
    files = [_size(file) for file in _files(InnerPath(out))]
    url = None if hub is None else _upload(hub, out, about, private)
    return Published(out, repo, len(files), sum(files), url)


def _about(zoo: Zoo, repo: str, licence: str, title: str | None, authors: Sequence[str]) -> About:
    if not _REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        raise UsageError(printable(repo), "is not the name of a repository", "write OWNER/NAME")
    if zoo.nets.is_empty():
        raise UsageError(zoo.path, "has no nets", "sample some first")
    owner, name = repo.split("/")
    known = licence if licence in LICENCES else OTHER
    created = str(zoo.meta.get("created"))[:4]
    year = int(created) if created.isdecimal() else 0
    names = tuple(printable(author, 300) for author in authors) or (owner,)
    return About(repo, printable(title or name, 300), names, known, year)


def _terms(licence: str) -> bytes:
    """The text of a licence in a file that the user named."""
    try:
        return disk.read_bytes(Path(licence), _LARGEST_LICENCE)
    except (OSError, ValueError):
        raise UsageError(
            "licence", f"{printable(licence)!r} is neither a file nor one of {', '.join(LICENCES)}"
        ) from None


def _refuse_damage(path: Path, progress: Progress) -> None:
    for finding in check(path, full=True, progress=progress):
        if finding.severity == "error":
            raise DataError(path, f"{finding.thing}: {finding.message}", finding.remedy)


def _fill(
    path: Path, folder: InnerPath, about: About, terms: bytes | None, progress: Progress
) -> None:
    parts = _of_zoo(path)
    for done, part in enumerate(parts):
        final = InnerPath(folder.root, part.parts)
        disk.make_folder(final.parent)
        disk.adopt(part, final, copy=False)
        progress("preparing the repository", done + 1, len(parts))
    write_index(folder.path, progress)
    zoo = Zoo(folder.path)
    if terms is not None:
        disk.put(folder / _LICENCE, terms)
    disk.put(folder / "CITATION.cff", citation(about).encode())
    disk.put(folder / _CROISSANT, _croissant(zoo, about).encode())
    size = sum(_size(file) for file in _files(folder))
    disk.put(folder / _SUMS, _sums(folder, progress).encode())
    disk.put(folder / _CARD, card(zoo, about, _TABLES, size).encode())


def _of_zoo(path: Path) -> list[InnerPath]:
    """The files of the zoo, without unfinished or foreign ones, in the order of a writer."""
    units = places.units(path, places.NETS)
    of = dict.fromkeys((places.SHARDS, places.SNAPSHOTS, places.NETS), units)
    of |= {folder: places.units(path, folder) for folder in (places.ROUNDS, places.LAYOUTS)}
    parts = [places.part(path, folder, name) for folder in places.FOLDERS for name in of[folder]]
    return [InnerPath(path) / MANIFEST, *parts]


def _croissant(zoo: Zoo, about: About) -> str:
    described = (
        f"{zoo.nets.height:,} trained nets of the space {zoo.space.name}, with "
        f"{zoo.snapshots.height:,} snapshots of their weights and how each net was trained."
    )
    plain = croissant.describe(
        {places.NETS: zoo.nets, places.SNAPSHOTS: zoo.snapshots},
        _TABLES,
        _KEYS,
        url=about.url,
        about={
            "name": about.repo.split("/")[1],
            "description": printable(described, 1000),
            "license": about.terms,
            "creator": [{"@type": "Person", "name": author} for author in about.authors],
            "datePublished": printable(zoo.meta.get("created")),
            "version": "1.0.0",
            "citeAs": f"{', '.join(about.authors)}: {about.title}. {about.year}. {about.url}",
            "keywords": ["weight space", "model zoo", "neural network weights"],
        },
    )
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def _files(folder: InnerPath) -> list[InnerPath]:
    """The files of the repository, without the hidden folder of the hub's package."""
    return [file for file in disk.walk(folder) if not file.parts[0].startswith(".")]


def _size(file: InnerPath) -> int:
    """The bytes of a file of the repository; a link that leads out of it is refused."""
    with disk.open_file(file, within=True) as opened:
        return os.fstat(opened.fileno()).st_size


def _sums(folder: InnerPath, progress: Progress) -> str:
    """Checksums in the format of `sha256sum`."""
    lines, files = [], _files(folder)
    for done, file in enumerate(files):
        digest = hashlib.sha256()
        with disk.open_file(file, within=True) as opened:
            while piece := opened.read(_PIECE):
                digest.update(piece)
        lines.append(f"{digest.hexdigest()}  {file.thing}\n")
        progress("summing up the files", done + 1, len(files))
    return "".join(lines)


def _is_prepared(path: Path, out: Path, about: About, terms: bytes | None) -> bool:
    """Whether `out` was prepared completely, from the zoo as it is now and for these terms."""
    there = InnerPath(out)

    def read(name: str) -> bytes:
        return disk.read_bytes(there / name, _LARGEST, within=True)

    try:
        listed = {line[66:] for line in read(_SUMS).decode().splitlines()}
        same = read(MANIFEST) == disk.read_bytes(InnerPath(path) / MANIFEST, _LARGEST)
        same &= read(_CROISSANT) == _croissant(Zoo(path), about).encode()
        same &= terms is None or read(_LICENCE) == terms
        found = {file.thing for file in _files(there)}
    except (OSError, UnicodeDecodeError, DataError):
        return False
    parts = {part.thing for part in _of_zoo(path)}
    ours = {name for name in listed if name.split("/")[0] in places.FOLDERS}
    return same and parts <= listed == found - {_SUMS, _CARD} and ours <= parts


def _hub() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError:
        raise UsageError(
            "publish",
            "uploading needs the package huggingface_hub",
            'pip install "weightspace[hub]", or give `dry_run=True`',
        ) from None


def _upload(hub: Any, folder: Path, about: About, private: bool) -> str:
    api = hub.HfApi()
    try:
        api.whoami()
    except Exception as error:  # no token, a wrong one, no network: keep the hub's own text
        raise UsageError(
            about.repo,
            f"the hub does not know who you are ({_said(error)})",
            "run `hf auth login`, then the same command again",
        ) from None
    where = {"repo_id": about.repo, "repo_type": "dataset"}
    try:
        api.create_repo(**where, private=private, exist_ok=True)
        # Both continue a stopped upload; which one exists depends on the package's version.
        upload = getattr(api, "upload_large_folder", api.upload_folder)
        upload(**where, folder_path=str(folder))
    except Exception as error:  # refused, no space, no network: keep the hub's own text
        raise DataError(
            about.repo,
            f"was not uploaded to its end ({_said(error)})",
            f"{folder} is complete, run the same command again to go on",
        ) from None
    return about.url


def _said(error: Exception) -> str:
    return printable(" ".join(str(error).split()) or type(error).__name__, 300)
