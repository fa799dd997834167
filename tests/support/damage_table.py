"""Thousands of damaged checkpoints, and a table of what came of them.

`python tests/support/damage_table.py FOLDER [FILES]` goes on where it was stopped: the answers are
kept in FOLDER, a line of JSON for each name and seed.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from support.damage_judge import Judge
from support.whole_files import NAMES

Answer = dict[str, Any]
_LARGE = 10**6
GROWN = 2**28  # bytes by which the memory of the whole process may grow


def judged(folder: Path, files: int) -> list[Answer]:
    """The answers about at least so many damaged files, evenly of all forms."""
    seeds = -(-files // len(NAMES))
    kept = folder / "answers.jsonl"
    answers = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    known = {(one["name"], one["seed"]) for one in answers}
    with kept.open("a") as file, closing(Judge(folder)) as judge:
        for seed in range(seeds):
            for name in NAMES:
                if (name, seed) not in known:
                    answers.append({"name": name, "seed": seed, **judge.of(name, seed)})
                    file.write(json.dumps(answers[-1]) + "\n")
                    file.flush()
    print(f"the memory of the process grew by {judge.grown / 1e6:,.0f} MB")
    assert judge.grown < GROWN
    return [one for one in answers if one["seed"] < seeds]


def wrong(answers: Iterable[Answer]) -> list[str]:
    """What is wrong, with the name and seed that show it."""
    found = []
    for one in answers:
        # Values of no tensor are right if another library reads the same ones in the file.
        doubt = one["doubt"] if one["other"] != "same" else ""
        said = one["wrong"] or doubt or (one["other"] if one["other"] not in ("", *FINE) else "")
        if said:
            found.append(f"{one['name']}, seed {one['seed']}: {said}")
    return found


FINE = ("same", "refuses", "dies")
"""What another library may make of a file that is read here."""


def table(answers: list[Answer]) -> str:
    """A row for each form: files, refused, read, compared, the slowest, the most memory.

    Memory is that beside the values that are given back: in MB for files below 1 MB, and for the
    others as a multiple of the bytes of the file, or of what it unpacks to.
    """
    rows = [
        "| form | files | refused | read | compared | slowest | memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in [*dict.fromkeys(map(_form, NAMES)), ""]:
        some = [one for one in answers if name in ("", _form(one["name"]))]
        counts = Counter("read" if one.get("read") else "refused" for one in some)
        same = sum(one["other"] == "same" for one in some)
        slowest = max(one.get("seconds", 0) for one in some)
        small = max((o.get("taken", 0) for o in some if o.get("size", 0) < _LARGE), default=0)
        large = [o["taken"] / o["size"] for o in some if o.get("size", 0) >= _LARGE]
        times = f", {max(large):.2f} times" if large else ""
        rows.append(
            f"| {name or 'all'} | {len(some):,} | {counts['refused']:,} | {counts['read']:,} | "
            f"{f'{same:,}' if same else ''} | {slowest:.2f} s | {small / 1e6:.1f} MB{times} |"
        )
    return "\n".join(rows)


def _form(name: str) -> str:
    """The form of files that a name of `NAMES` is of."""
    if name.startswith("torch before"):
        return "torch before 1.6"
    first = name.split()[0].rstrip(",")
    return {"module": "torch", "index": "index of shards"}.get(first, first)


def main(folder: Path, files: int) -> None:
    """Judge, and print the table and all that is wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    answers = judged(folder, files)
    print(table(answers), *wrong(answers), sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20_000)
