"""`read_claims` and `claims_in`: claims from YAML, JSON, or a model card."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from weightspace import disk
from weightspace.audit import spelling
from weightspace.audit.claims import Claims, gathered
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.remote import RemotePath, remote
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError
from weightspace.printable import printable
from weightspace.space.reading import PlainFile

CARD = "README.md"
_MOST_BYTES = 2**21  # of a model card
_GROUPS = ("claims", "training", "hyperparameters", "training_hyperparameters",
           "hyper_parameters", "recipe")  # fmt: skip
_OF_FRONT_MATTER = ("dataset", "pretrained_from")
_TOP = re.compile(r"(?P<key>[A-Za-z_][\w-]*)\s*:(?=\s|$)")
_WORDS = r"\**`?(?P<key>[A-Za-z][\w \-]*?)`?\**"  # of a key, which may be bold or code
_ITEM = re.compile(rf"\s{{0,3}}[-*+]\s+{_WORDS}\s*:\**\s+(?P<value>\S.*?)\s*$")
_ROW = re.compile(rf"\s{{0,3}}\|\s*{_WORDS}\s*\|\s*(?P<value>[^|]+?)\s*\|\s*$")
_HEADING = re.compile(r"\s{0,3}(#{1,6})\s+(?P<text>.*?)\s*#*\s*$")
_ABOUT = re.compile(r"hyper-?\s?parameters|training (details|procedure|settings|config)", re.I)
_BEGIN = re.compile(r"following hyper-?\s?parameters were used", re.I)
# Lines of the Trainer's list that say nothing of the weights.
_NOT_OF_WEIGHTS = ("eval_batch_size", "total_eval_batch_size", "distributed_type", "num_devices",
                   "hyperparameters", "hyperparameter")  # fmt: skip
_TOTAL, _OWN = "total_train_batch_size", "train_batch_size"

Entry = tuple[str, Any, str]


def read_claims(source: str | Path) -> Claims:
    r"""Read what a file or a model card claims.

    Parameters
    ----------
    source : str or Path
        A YAML or JSON file; a model card (`README.md`), of which the front matter and the list of
        training hyper-parameters are read; a folder with one; or `hf://OWNER/NAME`.

    Returns
    -------
    Claims

    Raises
    ------
    UsageError
        If the file is no YAML, JSON or model card, or a value is not possible. The message is one
        line with file, line and key.
    DataError
        If the file is missing or cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "card.yaml").write_text("optimizer: Adam\nlr: 1e-3\n")
    ...     claims = read_claims(f"{folder}/card.yaml")
    >>> claims.values
    {'optimizer': 'adam', 'learning_rate': 0.001}
    """
    place, text = _opened(Path(source))
    suffix = Path(place.partition("?")[0]).suffix.lower()
    return _claims(place, text, suffix in (".md", ".markdown"))


def claims_in(text: str, place: str = "card") -> Claims:
    r"""Read what a text claims, whose form is not known.

    Parameters
    ----------
    text : str
        YAML, JSON or a model card. It is a model card if it has front matter, or is no mapping.
    place : str
        What errors call it.

    Returns
    -------
    Claims

    Raises
    ------
    UsageError
        As for `read_claims`.

    Examples
    --------
    >>> claims_in("lr: 0.1").values == claims_in("## Training details\n- lr: 0.1\n").values
    True
    """
    if text.lstrip().startswith("{"):  # in JSON a tab is white space
        text = text.replace("\t", " ")
    return _claims(place, text, not _is_mapping(text))


def _claims(place: str, text: str, is_card: bool) -> Claims:
    if not is_card:
        return gathered(_of_plain(place, text))
    entries = list(_of_card(place, text))
    if not entries:
        raise UsageError(
            place,
            "a model card without claims that are known",
            'list them under "Training hyperparameters", as in "- learning_rate: 0.001"',
        )
    return gathered(entries)


def _is_mapping(text: str) -> bool:
    """Whether a text is a mapping of YAML or JSON; front matter is another document."""
    lines = [line.strip() for line in text.strip().splitlines()]
    if lines[:1] == ["---"] and "---" in lines[1:]:
        return False
    try:
        return isinstance(PlainFile("card", text).values, dict)
    except UsageError:  # a mapping with a mistake is told as such, in the line where it is
        return bool(lines) and not any(_HEADING.match(line) for line in lines)


def _opened(source: Path) -> tuple[str, str]:
    """The name of the file that is read, and its text."""
    found: Path | InnerPath | RemotePath = source
    try:
        if (there := remote(source)) is not None:
            found = there / CARD if not there.parts else there
            with found.file() as file:
                if file.size > _MOST_BYTES:
                    raise Refusal(
                        f"a card of {file.size:,} bytes; at most {_MOST_BYTES:,} are read"
                    )
                return str(found), file.read().decode()
        here = InnerPath(source) / CARD if source.is_dir() else source
        found = here
        return str(found), disk.read_bytes(here, _MOST_BYTES).decode()
    except Refusal as refusal:
        raise DataError(found, refusal.cause, refusal.remedy) from None
    except FileNotFoundError:
        raise DataError(found, "no such file") from None
    except UnicodeDecodeError:
        raise UsageError(found, "no text in UTF-8", "give a YAML, JSON or README.md file") from None
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise DataError(found, f"cannot be read ({said})") from None


def _of_plain(place: str, text: str) -> Iterator[Entry]:
    # In JSON a tab is white space; within its texts there is none.
    plain = PlainFile(place, text.replace("\t", " ") if place.endswith(".json") else text)
    if not isinstance(plain.values, dict):
        raise UsageError(place, "no claims; a mapping is needed", "write lines such as lr: 0.1")
    for key, value in plain.values.items():
        line = plain.lines.get((str(key),), 1)
        if isinstance(value, dict) and spelling.plain(str(key)) in _GROUPS:
            for inner, one in value.items():
                at = plain.lines.get((str(key), str(inner)), line)
                yield str(inner), one, f"{place}:{at}"
        else:
            yield str(key), value, f"{place}:{line}"


def _of_card(place: str, text: str) -> Iterator[Entry]:
    """The claims of a model card; what the list says comes before the front matter."""
    lines = text.splitlines()
    end = 0
    if lines and lines[0].strip() == "---":
        end = next((i for i, line in enumerate(lines[1:], 1) if line.strip() == "---"), 0)
    listed = list(_listed(place, lines, end))
    yield from listed
    given = {spelling.key(key) for key, _, _ in listed}
    for key, value, at in _front(place, lines[:end]):
        if spelling.key(key) not in given:
            yield key, value, at


def _front(place: str, lines: list[str]) -> Iterator[Entry]:
    """The claims in the front matter, whose other entries are not even parsed.

    They may be long: some cards hold thousands of results of benchmarks.
    """
    kept, keep = [""] * len(lines), False
    for number, line in enumerate(lines[1:], 1):
        if match := _TOP.match(line):
            name = spelling.key(match["key"])
            keep = name in _OF_FRONT_MATTER or spelling.plain(match["key"]) in _GROUPS
            keep = keep or (name is not None and bool(line[match.end() :].strip()))
        kept[number] = line if keep else ""
    if not any(kept):
        return
    for key, value, at in _of_plain(place, "\n".join(kept)):
        name = spelling.key(key)
        if name in _OF_FRONT_MATTER and isinstance(value, list):
            if len(value) != 1:  # of several, none is the one
                continue
            value = value[0]
        if isinstance(value, dict | list) and name != "betas":
            continue
        yield key, value, at


def _listed(place: str, lines: list[str], start: int) -> Iterator[Entry]:
    """The entries of lists and tables under a heading about training."""
    found: list[Entry] = []
    inside, depth, fenced = False, 0, False
    for number, line in enumerate(lines[start:], start + 1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        if fenced:
            continue
        if match := _HEADING.match(line):
            level = len(match[1])
            if _ABOUT.search(match["text"]):
                inside, depth = True, level
            elif level <= depth or "result" in match["text"].lower():
                inside = False
        elif _BEGIN.search(line):
            inside, depth = True, depth or 6
        elif inside and (match := _ITEM.match(line) or _ROW.match(line)):
            key = _of_keras(spelling.plain(match["key"]))
            if key not in _NOT_OF_WEIGHTS:
                found.append((key, match["value"].strip("`"), f"{place}:{number}"))
    keys = {key for key, _, _ in found}
    for key, value, at in found:
        if not (key == _OWN and _TOTAL in keys):  # the batches of all devices together
            yield key, value, at


def _of_keras(key: str) -> str:
    """The tables of Keras call the optimizer "name"."""
    return "optimizer" if key == "name" else key


def parsed(text: str) -> Entry:
    """The key and the value of `NAME=VALUE`; UsageError if it is not of that form.

    >>> parsed("optimizer=sgd")
    ('optimizer', 'sgd', '')
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise UsageError(
            "claim", f"{printable(text, 80)!r} is no claim", "write it as in optimizer=sgd"
        )
    return key.strip(), value.strip(), ""
