"""What a pickle would execute, told from its opcodes: it is looked at, never loaded."""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path

from weightspace.audit.messages import one_line
from weightspace.errors import DataError
from weightspace.printable import printable

LIMIT = 2**24  # bytes; the pickle of a state dict is some hundred bytes a tensor
_HARMLESS = re.compile(r"collections\.OrderedDict|torch\.|_codecs\.encode")


def refusal(path: Path, error: Exception) -> DataError:
    """Why torch's reader of weights did not take a file, in one line.

    Its own advice fills a paragraph and suggests to switch the protection off; where a foreign
    name stands in the pickle, that name is all that matters.
    """
    text = str(error)
    match = re.search(r"GLOBAL (\S+)", text)
    name = match.group(1).rstrip(".,") if match else _foreign_name(path)
    if name:
        return DataError(
            f"{path}: refused; reading it would execute {printable(name)}, "
            "and nothing was executed; save the state dict as safetensors"
        )
    fact = re.search(r"WeightsUnpickler error:\s*([^\n]+)", text)
    if fact or "weights_only" in text:
        what = printable(fact.group(1).rstrip(" .")) if fact else one_line(error)
        return DataError(
            f"{path}: refused; its pickle is none that a safe reader knows ({what}); "
            "save the state dict as safetensors"
        )
    return DataError(f"{path}: damaged, or no torch file ({one_line(error)}); fetch it again")


def _foreign_name(path: Path) -> str:
    """The first name in a file's pickle that no state dict needs; empty where there is none.

    Follows strings through the memo as far as honest writers use it. Who hides a name better is
    refused all the same, only with other words.
    """
    strings: list[str] = []
    memo: dict[int, str] = {}
    top = ""
    try:
        for opcode, argument, _ in pickletools.genops(_pickle(path)):
            name = ""
            if opcode.name == "MEMOIZE":
                memo[len(memo)] = top
                continue
            if "PUT" in opcode.name:
                memo[int(str(argument))] = top
                continue
            if opcode.name in ("GLOBAL", "INST"):
                name = str(argument).replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL":
                name = ".".join(strings[-2:])
            if name and not _HARMLESS.match(name):
                return name
            if "UNICODE" in opcode.name:
                top = str(argument)
            else:
                top = memo.get(int(str(argument)), "") if opcode.name.endswith("GET") else ""
            if top:
                strings.append(top)
    except Exception:  # a damaged pickle ends anywhere, and has no more to tell
        return ""
    return ""


def _pickle(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return file.read(LIMIT)
    with zipfile.ZipFile(path) as archive:
        inner = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        with archive.open(inner) as file:
            return file.read(LIMIT)
