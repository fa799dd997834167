"""Which files of a folder are read as nets, by their names, and why others are not.

Names say only what is worth reading: `read_checkpoint` decides by content. One net may have many
files, such as shards with their index, or the same values in two formats; it is read once.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.zoo import MANIFEST
from weightspace.zoo.files import places

INDEX = ".index.json"
_OF_NETS = (".safetensors", ".pt", ".pth", ".pth.tar", ".pt.tar", ".ckpt")
_OF_MANY_THINGS = (".th", ".bin", ".pkl", ".pickle", ".h5", ".hdf5", ".keras", ".npz", ".msgpack")
_OF_OTHERS = (".onnx", ".gguf")
SUFFIXES = tuple(
    end for suffix in (*_OF_NETS, *_OF_MANY_THINGS, *_OF_OTHERS) for end in (suffix, suffix + INDEX)
)
"""Suffixes in any case; of a net in two formats, the one whose suffix comes first is read."""
_LONGEST_FIRST = sorted(SUFFIXES, key=len, reverse=True)
_SAME = {"pytorch_model": "model", "tf_model": "model", "flax_model": "model"}
"""The names that Hugging Face's libraries give one net in its formats."""
_STATE = re.compile(
    r"(optimizer|optim|lr_scheduler|scheduler|scaler|grad_scaler|sampler|rng_state|random_states"
    r"|training_args|trainer_state|custom_checkpoint)([_-]\d+)*|.*_optim_states"
)
_PART = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})(\..*)?")
_OF_ZOOS = {*places.FOLDERS, places.STATES, places.ASIDE, "index"}
_LARGEST_INDEX = 2**26  # bytes
_TORCH = (b"PK\x03\x04", b"\x80\x02")
_OPTIMIZER = re.compile(rb"\x80\x02.{0,24}X\x05\x00\x00\x00state", re.DOTALL)
_HEAD, _SEARCHED = 2**10, 2**24  # bytes

HIDDEN = "hidden"
OTHER = "no suffix of a checkpoint"
STATE = "the state of an optimizer or of a run"
OUTSIDE = "a link that leads out of the folder"
LINK = "a link to a file that is read"
PART = "a part of a net that is read with the others"
FORMAT = "another format of a net that is read"
UNREADABLE = "no net that can be read"
ZOO = "a part of a zoo"


@dataclass(frozen=True)
class NotTaken:
    """A file in a folder of checkpoints that is not taken as a net.

    Attributes
    ----------
    file : str
        Its path in the folder.
    reason : str
        Why it is not taken.
    detail : str
        The file that is read in its place, or what is wrong with it; "" if there is nothing to say.
    """

    file: str
    reason: str
    detail: str = ""


Note = Callable[[NotTaken], None]


@dataclass(frozen=True)
class Candidate:
    """A file that may be a net.

    `way` is its path in the folder, `place` where it lies, which differs behind a link. `stem` is
    the way without the suffix: files of one stem are one net. `index` is the name of a missing file
    without which a part of a net cannot be read.
    """

    way: str
    place: InnerPath
    stem: str
    index: str = ""

    @property
    def folder(self) -> str:
        """The way to its folder, "" or ending with a slash."""
        return self.way[: self.way.rfind("/") + 1]

    @cached_property
    def rank(self) -> int:
        """Which of the files of one net is read: the one of the lowest rank."""
        suffix = suffix_of(self.way)
        return len(SUFFIXES) if self.index or not suffix else SUFFIXES.index(suffix)

    def is_surely_a_net(self) -> bool:
        """Whether its name or its first bytes say so, so that it is an error if it is damaged."""
        suffix = suffix_of(self.way)
        if suffix in _OF_NETS or suffix.endswith(INDEX):
            return True
        return suffix in (".th", ".bin") and _head(self.place, 4).startswith(_TORCH)

    def is_an_optimizer(self) -> bool:
        """Whether its first bytes are those of an optimizer's state dict in a torch file."""
        if not _OPTIMIZER.search(_head(self.place, _HEAD)):
            return False
        return b"param_groups" in _head(self.place, _SEARCHED)


def suffix_of(way: str) -> str:
    """The suffix by which a file may be a net, in lower case; "" if it has none."""
    name = way.rpartition("/")[2].lower()
    return next((end for end in _LONGEST_FIRST if name.endswith(end) and name != end), "")


def stem_of(way: str) -> str:
    """The way without the suffix, and without what the name says about the format."""
    stem = way.removesuffix(way[len(way) - len(suffix_of(way)) :])
    folder, slash, name = stem.rpartition("/")
    return folder + slash + _SAME.get(name, name)


def candidates(folder: InnerPath, listed: Collection[str], note: Note) -> list[Candidate]:
    """The nets of a folder that are not `listed` by their ways; `note` gets all other files."""
    found = []
    files = list(_files(folder, note))
    zoos = {way[: -len(MANIFEST)].rstrip("/") for way, _ in files if _name(way) == MANIFEST}
    for way, place in files:
        candidate = Candidate(way, place, stem_of(way))
        reason = None if way in listed else _reason(candidate)
        if not reason and way not in listed and _is_of_a_zoo(way, zoos):
            reason = ZOO
        if reason:
            # Nobody takes a hidden file of another kind for a net.
            if reason != HIDDEN or suffix_of(way):
                note(NotTaken(way, reason))
        else:
            found.append(candidate)
    for choose in (_without_links, _without_parts, _without_other_formats):
        found = list(choose(found, listed, note))
    return [candidate for candidate in found if candidate.way not in listed]


def _reason(candidate: Candidate) -> str | None:
    """Why a file cannot be a net, by its own name."""
    if _is_hidden(candidate.way):
        return HIDDEN  # so are the AppleDouble files of macOS, `._net.pt`
    if not suffix_of(candidate.way):
        return OTHER
    name = _name(candidate.stem).lower()
    return STATE if _STATE.fullmatch(name) else None


def _is_of_a_zoo(way: str, zoos: Collection[str]) -> bool:
    """Whether a file lies in a folder that belongs to a zoo, and so is no checkpoint."""
    names = way.split("/")
    return any(
        "/".join(names[:at]) in zoos and names[at] in _OF_ZOOS for at in range(len(names) - 1)
    )


def _files(folder: InnerPath, note: Note) -> Iterator[tuple[str, InnerPath]]:
    """All files with their ways; a link to a hidden folder inside is followed.

    The files of folders that are not hidden are found where they are.
    """
    waiting: list[tuple[str, InnerPath]] = [("", folder)]
    entered = {folder}
    while waiting:
        way, top = waiting.pop()
        for place in disk.walk(top):
            own = way + "/".join(place.parts[len(top.parts) :])
            if not disk.is_link(place):
                yield own, place
                continue
            real = disk.without_links(place)
            if real is not None and disk.is_folder(real):
                if _is_hidden(real.thing) and not _is_hidden(own) and real not in entered:
                    entered.add(real)
                    waiting.append((f"{own}/", real))
            elif real is None and not suffix_of(own):
                note(NotTaken(own, OUTSIDE))
            else:
                yield own, place


def _without_links(
    found: list[Candidate], listed: Collection[str], note: Note
) -> Iterator[Candidate]:
    """Leave out links to other candidates, and files that were reached on two ways."""
    ways: dict[InnerPath, str] = {}
    for candidate in found:
        ways.setdefault(candidate.place, candidate.way)
    for candidate in found:
        real = candidate.place
        if disk.is_link(real):
            real = disk.without_links(real) or real
        other = ways.get(real, candidate.way)
        if other != candidate.way and candidate.way not in listed:
            note(NotTaken(candidate.way, LINK, other))
        else:
            yield candidate


def _without_parts(
    found: list[Candidate], listed: Collection[str], note: Note
) -> Iterator[Candidate]:
    """Leave out the shards of nets that have an index; of others, keep one to refuse."""
    whole: dict[str, str] = {}
    for candidate in found:
        if candidate.way.lower().endswith(INDEX):
            whole |= {candidate.folder + name: candidate.way for name in _parts(candidate.place)}
            whole[f"{candidate.stem}-*"] = candidate.way
    lost: dict[str, str] = {}
    for candidate in found:
        match = _PART.fullmatch(candidate.stem)
        stem = stem_of(match["stem"]) if match else ""
        index = whole.get(candidate.way) or whole.get(f"{stem}-*")
        if candidate.way in listed or not (index or (match and int(match["count"]) > 1)):
            yield candidate
        elif index or stem in lost:
            note(NotTaken(candidate.way, PART, index or lost[stem]))
        else:
            lost[stem] = candidate.way
            name = match["stem"].rpartition("/")[2] if match else ""
            missing = f"{name}{suffix_of(candidate.way)}{INDEX}"
            yield Candidate(candidate.way, candidate.place, stem, missing)


def _without_other_formats(
    found: list[Candidate], listed: Collection[str], note: Note
) -> Iterator[Candidate]:
    """Leave out all but one of the files of one stem."""
    nets: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in found:
        nets[candidate.stem].append(candidate)
    for own in nets.values():
        first = min(own, key=lambda one: (one.way not in listed, one.rank, one.way))
        for candidate in own:
            if candidate is first or candidate.way in listed:
                yield candidate
            else:
                note(NotTaken(candidate.way, FORMAT, first.way))


def _name(way: str) -> str:
    return way.rpartition("/")[2]


def _is_hidden(way: str) -> bool:
    return any(name.startswith(".") for name in way.split("/"))


def _parts(index: InnerPath) -> set[str]:
    """The names of the files that an index names; none if it cannot be read, which reading says."""
    try:
        said: Any = json.loads(disk.read_bytes(index, _LARGEST_INDEX, within=True))
    except (OSError, ValueError, RecursionError, DataError):
        return set()
    weights = said.get("weight_map") if isinstance(said, Mapping) else None
    names = weights.values() if isinstance(weights, Mapping) else ()
    return {name for name in names if isinstance(name, str)}


def _head(place: InnerPath, size: int) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        with disk.open_file(place, within=True) as file:
            return file.read(size)
    except (OSError, DataError):
        return b""
