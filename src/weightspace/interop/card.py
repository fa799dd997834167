"""The texts of a published zoo: its card, and how to cite it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import yaml

from weightspace.images.known import BUILT_IN, PUBLISHED
from weightspace.printable import printable
from weightspace.zoo import Zoo

LICENCES = {
    "cc0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "cc-by-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "cc-by-sa-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "cc-by-nc-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "cc-by-nc-sa-4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    "mit": "https://opensource.org/license/mit/",
    "apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "pddl": "https://opendatacommons.org/licenses/pddl/1-0/",
    "odc-by": "https://opendatacommons.org/licenses/by/1-0/",
    "odbl": "https://opendatacommons.org/licenses/odbl/1-0/",
}
"""Licences for data that the hub knows by name, and where their text is."""

OTHER = "other"
"""The hub's word for a licence whose text is in the repository."""

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"),
          (10**7, "1M<n<10M"), (10**8, "10M<n<100M"))  # fmt: skip


@dataclass(frozen=True)
class About:
    """The facts that a zoo does not contain: its repository, authors and licence."""

    repo: str
    title: str
    authors: Sequence[str]
    licence: str
    year: int

    @property
    def url(self) -> str:
        """The address of the repository."""
        return f"https://huggingface.co/datasets/{self.repo}"

    @property
    def terms(self) -> str:
        """The address of the licence's text."""
        return LICENCES.get(self.licence, f"{self.url}/blob/main/LICENSE")


def card(zoo: Zoo, about: About, files: dict[str, str], size: int) -> str:
    """The README of the repository: YAML for the hub, then Markdown."""
    rows = zoo.snapshots.height
    front: dict[str, Any] = {
        "pretty_name": about.title,
        "license": about.licence,
        "size_categories": [next((n for most, n in _SIZES if rows < most), "100M<n<1B")],
        "tags": ["weight-space", "model-zoo", "neural-network-weights", "weightspace"],
        "configs": [
            {"config_name": name, "data_files": path, **({"default": True} if not i else {})}
            for i, (name, path) in enumerate(files.items())
        ],
    }
    if about.licence == OTHER:
        front |= {"license_name": "see-license", "license_link": "LICENSE"}
    text = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    parts = [
        f"# {_plain(about.title)}",
        _counts(zoo, size),
        _varying(zoo),
        _images(zoo),
        _reading(about),
        _columns(zoo),
        f"## Citation\n\n```bibtex\n{bibtex(about)}\n```",
    ]
    return f"---\n{text}---\n\n" + "\n\n".join(parts) + "\n"


def bibtex(about: About) -> str:
    """The BibTeX entry."""
    names = " and ".join("{" + _plain(author) + "}" for author in about.authors)
    key = about.repo.replace("/", "-").replace("_", "-").replace(".", "-").lower()
    return (
        f"@misc{{{key},\n  title = {{{_plain(about.title)}}},\n  author = {{{names}}},\n"
        f"  year = {{{about.year}}},\n  url = {{{about.url}}}\n}}"
    )


def citation(about: About) -> str:
    """The content of CITATION.cff."""
    plain: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use these nets, please cite them.",
        "title": about.title,
        "type": "dataset",
        "authors": [{"name": author} for author in about.authors],
        "url": about.url,
    }
    if about.licence != OTHER:
        plain["license"] = {"pddl": "PDDL-1.0", "odc-by": "ODC-By-1.0", "odbl": "ODbL-1.0"}.get(
            about.licence, about.licence.upper().replace("APACHE", "Apache")
        )
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def _counts(zoo: Zoo, size: int) -> str:
    nets, snapshots = zoo.nets, zoo.snapshots
    values = snapshots["length"].to_numpy()
    made = ", ".join(f"{_plain(k)} {_plain(v)}" for k, v in zoo.meta["versions"].items())
    lengths = f"{values.min(initial=2**40):,} to {values.max(initial=0):,} values each"
    power = min((len(str(size)) - 1) // 3, 4)
    there = f"{size / 1000**power:.3g} {('bytes', 'KB', 'MB', 'GB', 'TB')[power]}"
    tests = nets.filter(split="test").height
    return (
        f"{nets.height:,} trained nets with {snapshots.height:,} snapshots of their weights, "
        f"{lengths}, stored as {zoo.dtype.name}; {there}. Every net is listed with its "
        "hyper-parameters, every snapshot with its losses and accuracies. Set aside for testing "
        f"(column `split`): {tests:,} nets.\n\nA zoo of the space "
        f"{_plain(zoo.space.name)}, seed {zoo.meta['seed']}, made with {made}."
    )


def _varying(zoo: Zoo) -> str:
    lines = ["## What varies\n", "| hyper-parameter | values |", "|---|---|"]
    for name in zoo.space.properties:
        column = zoo.nets[name].drop_nulls()
        levels = column.unique().sort().to_list()
        if column.dtype.is_float() and len(levels) > 4:
            text = f"{levels[0]:.3g} to {levels[-1]:.3g}"
        else:
            text = ", ".join(_plain(level) for level in levels[:20]) or "unknown"
        if missing := zoo.nets.height - len(column):
            text += f" (unknown of {missing:,} nets)"
        lines.append(f"| `{name}` | {text} |")
    return "\n".join(lines)


def _images(zoo: Zoo) -> str:
    """The origin of the images: their terms may also apply to the weights."""
    lines = [
        "## Images the nets were trained on\n",
        "No image is in this repository. Weights that were learnt from images may fall under the",
        "images' terms as well; the licence above is for what is the makers' own.\n",
        "| image set | nets | source |",
        "|---|---|---|",
    ]
    counts = zoo.nets.group_by(pl.col("dataset").fill_null("")).len().sort("dataset")
    for name, count in counts.iter_rows():
        if name in PUBLISHED:
            source = PUBLISHED[name].source
        elif name in BUILT_IN:
            source = f"{BUILT_IN[name].note}, built into weightspace"
        elif name.startswith("hub:"):
            source = f"https://huggingface.co/datasets/{_plain('/'.join(name[4:].split('/')[:2]))}"
        else:
            source = "not on record" if name else "not on record, nor which set it was"
        lines.append(f"| {_plain(name) or 'unknown'} | {count:,} | {source} |")
    return "\n".join(lines)


def _reading(about: About) -> str:
    return f"""## How to read it

The tables show in the viewer above, and load with `datasets`:

```python
from datasets import load_dataset
nets = load_dataset("{about.repo}", "nets")
```

The whole, weights included:

```python
from huggingface_hub import snapshot_download
import weightspace as ws
zoo = ws.Zoo(snapshot_download("{about.repo}", repo_type="dataset"))
vector = zoo.vector(zoo.nets["net"][0])  # float32, the net's last snapshot
layout = zoo.layout(zoo.nets["net"][0])  # which value is which
```

Shards are safetensors, tables Parquet; a reader of 40 lines is in weightspace's
`docs/format.md`. `sha256sum -c sha256sums.txt` and `weightspace check --full` tell whether all
arrived."""


def _columns(zoo: Zoo) -> str:
    rows = ["## Columns\n", "| table | columns |", "|---|---|"]
    for name, frame in (("nets", zoo.nets), ("snapshots", zoo.snapshots)):
        rows.append(f"| `{name}` | {', '.join(f'`{_plain(c)}`' for c in frame.columns)} |")
    rows.append(
        "\n`step` counts optimizer steps; a loss is a mean cross entropy in nats, an accuracy the\n"
        "share of right answers; `offset` is in bytes, `length` in values. Null is unknown."
    )
    return "\n".join(rows)


def _plain(text: object) -> str:
    """One line that is safe in Markdown, HTML and BibTeX."""
    shown = printable(text, 200)
    return "".join(" " if c in "|`<>{}[]\\" else c for c in shown).strip()
