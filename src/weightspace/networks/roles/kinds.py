"""Tensors that are no kernel, bias or part of a norm, and the reason why each is skipped."""

from __future__ import annotations

import re
from itertools import pairwise

from weightspace.networks.roles.entries import Entry, Note, skip
from weightspace.networks.roles.named import no_part
from weightspace.networks.roles.words import is_norm, natural

_FLOATS = ("float16", "bfloat16", "float32", "float64", "float8_e4m3", "float8_e5m2")
_TABLE = re.compile(
    r"embed|(^|[._])(wte|wpe|pe|pos)([._]|$)|(^|[._])embs?(_?\d+)?(\.|$)|token|pos_?enc"
    r"|positional|codebook",
    re.IGNORECASE,
)
_SHARED = re.compile(r"((?:model\.)?)shared\.(?:weight|kernel)$")
_ATTENTION = re.compile(r"self_?attn|SelfAttention", re.IGNORECASE)
_POSITION_BIAS = re.compile(
    r"relative_\w*bias|rel_pos|position_bias|relative_coords", re.IGNORECASE
)
_SLOPE = re.compile(r"prelu|relu[\d_]*$|(^|[._])act(ivation)?\d*$", re.IGNORECASE)
_EXPERTS = re.compile(r"(^|[._])experts\.[^\d.][^.]*$")
_KERNEL_LEAF = re.compile(r"weight|kernel|filter|coef|theta|(^|_)w\d*$", re.IGNORECASE)
_STATISTICS = ("running_mean", "running_var", "moving_mean", "moving_variance")
_EMBEDDING = "an embedding: a look-up table, not a kernel"
_LAYERS = ("Conv", "Linear")  # the classes of torch


def sort_out(entries: list[Entry]) -> tuple[list[Entry], list[Note]]:
    """The tensors that may belong to layers, and notes of the others."""
    named = {entry.name: entry for entry in entries}
    stacks = _stacks(entries, named)
    used: list[Entry] = []
    skipped: list[Note] = []
    for entry in entries:
        reason = stacks.get(entry.name) or _unfit(entry, named)
        if reason:
            skipped.append(skip(entry, reason))
        else:
            used.append(entry)
    return used, skipped


def _unfit(entry: Entry, named: dict[str, Entry]) -> str:
    """Why a tensor cannot be used, whatever the shapes of other layers are; empty if it can."""
    if entry.leaf == "num_batches_tracked":
        return "a count of batches"
    if not entry.dtype.startswith(_FLOATS):
        return f"{entry.dtype}: not a floating type of trained weights"
    if not entry.size:
        return "holds no values"
    if not entry.shape:
        return "a single value, not a tensor of a layer"
    if reason := no_part(entry):
        return reason
    if len(entry.shape) == 1:
        return "a slope of an activation" if _is_slope(entry, named) else ""
    return _unfit_kernel(entry, named)


def _is_slope(entry: Entry, named: dict[str, Entry]) -> bool:
    """Whether a vector is the slopes of a PReLU, by its class or its name; a norm has more."""
    if entry.kind == "PReLU":
        return True
    if "Norm" in entry.kind or not _SLOPE.search(entry.module):
        return False
    return not any(entry.sibling(leaf) in named for leaf in ("bias", "running_mean"))


def _unfit_kernel(entry: Entry, named: dict[str, Entry]) -> str:
    """Why a tensor of several dimensions is not the kernel of a layer."""
    count = len(entry.shape)
    bias = _bias_of(entry, named)
    if is_norm(entry.module) or (bias is not None and bias.shape == entry.shape):
        return _wide_norm(entry)
    if _POSITION_BIAS.search(entry.name):
        return "a table of position biases, not a kernel"
    if "bias" in entry.leaf:
        return _wide_bias(entry, named)
    if entry.kind in ("Embedding", "EmbeddingBag") and entry.leaf == "weight":
        return _EMBEDDING
    if (_TABLE.search(entry.name) or _is_shared(entry, named)) and not _is_layer(entry, bias):
        return _EMBEDDING
    if count > 5:
        return f"{count} dimensions: neither a convolution kernel nor a dense one"
    channels_only = count > 2 and sum(side > 1 for side in entry.shape) < 2
    if channels_only and not _KERNEL_LEAF.search(entry.leaf):
        return "values for each channel, by its name not a kernel"
    if count == 2 and 1 in entry.shape and bias is None and not _KERNEL_LEAF.search(entry.leaf):
        return "one row of values, by its name not a kernel"
    if count == 3 and _EXPERTS.search(entry.name):
        return f"dense kernels of {entry.shape[0]} experts, stacked in one tensor"
    return ""


def _is_shared(entry: Entry, named: dict[str, Entry]) -> bool:
    """Whether it is the embedding that the parts of a transformer share, as in T5 and BART."""
    match = _SHARED.match(entry.name)
    if match is None:
        return False
    parts = (f"{match[1]}encoder.", f"{match[1]}decoder.")
    both = all(any(name.startswith(part) for name in named) for part in parts)
    return both or any(map(_ATTENTION.search, named))


def _wide_bias(entry: Entry, named: dict[str, Entry]) -> str:
    """What a bias of several dimensions is; GPT-2 keeps its causal mask as attn.bias [1, 1, n, n].

    A layer's bias is one value for each output.
    """
    *front, rows, columns = entry.shape
    kernel = named.get(entry.sibling(entry.leaf.replace("bias", "weight")))
    if kernel is not None and kernel.shape == entry.shape:
        return _wide_norm(entry)
    if rows == columns and all(side == 1 for side in front) and (kernel is None or front):
        return "a causal mask, a constant of attention: not a kernel"
    return f"a bias of {len(entry.shape)} dimensions; only biases over channels are known"


def _wide_norm(entry: Entry) -> str:
    return f"a norm of {len(entry.shape)} dimensions; only norms over channels are known"


def _is_layer(entry: Entry, bias: Entry | None) -> bool:
    """Whether a tensor with the name of a table is a kernel: it has a bias, or cuts patches."""
    if entry.leaf not in ("weight", "kernel"):  # flax calls the patches of a ViT an embedding
        return False
    if entry.kind.startswith(_LAYERS):
        return True
    return len(entry.shape) >= 4 or (bias is not None and bias.shape == entry.shape[:1])


def _bias_of(entry: Entry, named: dict[str, Entry]) -> Entry | None:
    word = "weight" if "weight" in entry.leaf else "kernel"
    if word not in entry.leaf:
        return None
    return named.get(entry.sibling(entry.leaf.replace(word, "bias")))


def _stacks(entries: list[Entry], named: dict[str, Entry]) -> dict[str, str]:
    """Tensors of several nets, or of several layers, along a first dimension that all have.

    A bias or a running mean of two dimensions shows it. Without any, dense kernels [k, out, in] are
    known by their chain: each takes what the one before gives.
    """
    found: dict[str, int] = {}
    for entry in entries:
        bias = _bias_of(entry, named) if len(entry.shape) > 2 else None
        if bias is None or not 2 <= len(bias.shape) < len(entry.shape):
            continue
        if entry.shape[0] == bias.shape[0]:
            found[entry.name] = found[bias.name] = entry.shape[0]
    floats = [e for e in entries if e.dtype.startswith(_FLOATS) and e.shape and e.size]
    sizes = {entry.shape[0] for entry in floats}
    if len(sizes) == 1 and all(len(entry.shape) > 1 for entry in floats):
        sure = found or any(e.leaf in _STATISTICS for e in floats) or _is_dense_chain(floats)
        if sure:
            reason = f"of {sizes.pop()} nets that are stacked in one file; save each net by itself"
            return {entry.name: reason for entry in floats}
    return {
        name: f"of {count} layers that are stacked in one tensor; only single layers are known"
        for name, count in found.items()
    }


def _is_dense_chain(entries: list[Entry]) -> bool:
    kernels = sorted((e for e in entries if len(e.shape) == 3), key=lambda e: natural(e.name))
    if len(kernels) < 2 or any(len(entry.shape) > 3 for entry in entries):
        return False
    return all(one.shape[1] == two.shape[2] for one, two in pairwise(kernels))
