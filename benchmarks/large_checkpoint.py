"""The memory and the time of an audit of a checkpoint of 15 GB in shards.

    python benchmarks/large_checkpoint.py FOLDER

It writes the files of a transformer as Hugging Face's libraries do: `model.safetensors.index.json`
and shards of bfloat16. The shards are sparse: the embedding, the output layer and the first rows of
every other kernel hold random values, the rest takes no place on the disk and reads as 0. Each
audit is a process of its own. The folder is removed at the end.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

LAYERS, WIDTH, INNER, HEADS, WORDS = 32, 4096, 14_336, 1024, 128_256
ROWS = 256  # of a kernel that hold values
PIECE = 2**24  # values that are drawn at once
AUDITS = {
    "audit": [],
    "audit with claims": ["--claim", "optimizer=adamw", "--claim", "seed=7"],
    "audit with a page": ["--html", "page.html"],
}


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of a transformer of 8 billion values by name."""
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (WORDS, WIDTH)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        found |= {
            f"{at}.input_layernorm.weight": (WIDTH,),
            f"{at}.self_attn.q_proj.weight": (WIDTH, WIDTH),
            f"{at}.self_attn.k_proj.weight": (HEADS, WIDTH),
            f"{at}.self_attn.v_proj.weight": (HEADS, WIDTH),
            f"{at}.self_attn.o_proj.weight": (WIDTH, WIDTH),
            f"{at}.post_attention_layernorm.weight": (WIDTH,),
            f"{at}.mlp.gate_proj.weight": (INNER, WIDTH),
            f"{at}.mlp.up_proj.weight": (INNER, WIDTH),
            f"{at}.mlp.down_proj.weight": (WIDTH, INNER),
        }
    return found | {"model.norm.weight": (WIDTH,), "lm_head.weight": (WORDS, WIDTH)}


def write(folder: Path, shards: int) -> int:
    """Write the checkpoint; returns its bytes."""
    tensors = shapes()
    total = sum(2 * math.prod(shape) for shape in tensors.values())
    parts: list[dict[str, tuple[int, ...]]] = [{} for _ in range(shards)]
    before = 0
    for name, shape in tensors.items():
        parts[min(shards - 1, before * shards // total)][name] = shape
        before += 2 * math.prod(shape)
    places = {}
    for number, part in enumerate(parts, 1):
        file = f"model-{number:05}-of-{shards:05}.safetensors"
        places |= dict.fromkeys(part, file)
        write_shard(folder / file, part, number)
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total


def write_shard(path: Path, tensors: dict[str, tuple[int, ...]], seed: int) -> None:
    """A safetensors file of bfloat16, of which only what laws look at holds values."""
    entries, at = {}, 0
    for name, shape in tensors.items():
        size = 2 * math.prod(shape)
        entries[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    header = json.dumps(entries).encode()
    start = 8 + len(header)
    rng = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(start + at)
        for name, shape in tensors.items():
            whole = len(shape) == 1 or shape[0] == WORDS
            rows = shape[0] if whole else min(ROWS, shape[0])
            file.seek(start + entries[name]["data_offsets"][0])
            left = rows * math.prod(shape[1:])
            while left:
                values = rng.standard_normal(min(left, PIECE), np.float32)
                values *= shape[-1] ** -0.5 if len(shape) > 1 else 1.0
                file.write((values.view(np.uint32) >> 16).astype(np.uint16).tobytes())
                left -= len(values)


def audited(folder: Path, options: list[str]) -> tuple[resource.struct_rusage, float, list[str]]:
    """What an audit in a process of its own uses, its seconds, and the laws that said something."""
    command = [sys.executable, "-m", "weightspace", "audit", str(folder), "--json", *options]
    if "--html" in options:
        command[-1] = str(folder / options[-1])
    start = time.perf_counter()
    with (folder / "audit.json").open("w") as out, subprocess.Popen(command, stdout=out) as run:
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode not in (0, 1):  # 1: a claim is contradicted
        raise SystemExit(f"{' '.join(command)}: ended with {run.returncode}")
    seconds = time.perf_counter() - start
    (found,) = json.loads((folder / "audit.json").read_text())
    laws = dict.fromkeys(one["law"] for one in found["evidence"] if not one["missing"])
    return used, seconds, list(laws)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write it; must not exist")
    parser.add_argument("--shards", type=int, default=4)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True)
    try:
        total = write(asked.folder, asked.shards)
        taken = sum(one.stat().st_blocks * 512 for one in asked.folder.iterdir())
        print(f"{total / 1e9:.1f} GB in {asked.shards} shards, {taken / 1e9:.1f} GB on the disk")
        for name, options in AUDITS.items():
            used, seconds, laws = audited(asked.folder, options)
            processor, most = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9
            print(f"{name:18} {seconds:6.1f} s, {processor:5.1f} s of a processor, {most:.2f} GB")
            print(f"    {', '.join(laws)}", flush=True)
    finally:
        shutil.rmtree(asked.folder)


if __name__ == "__main__":
    main()
