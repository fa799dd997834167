"""Tensors whose names alone say that they are no kernel, bias or part of a norm: a table."""

from __future__ import annotations

import re
from functools import lru_cache

from weightspace.networks.roles.entries import Entry

_ADAPTER = re.compile(
    r"(^|[._])(lora_(A|B|a|b|down|up|embedding_[AB]|magnitude_vector|alpha)|hada_w[12]_[ab]"
    r"|lok[rt]_w[12](_[ab])?)([._]|$)|_lora\.(down|up)\.weight$|:\d+:(down|up)$"
)
ADAPTER = "a factor of a low-rank adapter (LoRA), not a kernel; merge it into its kernel first"
_LONGEST = 200  # of a name that is searched

# What the whole name says, and what its last component says.
_BY_NAME = (
    (
        re.compile(r"(^|[._])(weight_[guv]|original\d)$"),
        "a factor of a reparametrised kernel; the kernel itself is not stored",
    ),
    (_ADAPTER, ADAPTER),
    (
        re.compile(r"fake_quant|activation_post_process|(input|weight|output)_quantizer[._]"),
        "a parameter of quantisation: not a kernel or a norm",
    ),
)
_BY_LEAF = (
    (re.compile(r"(^|_)mask$|^(tril|triu|causal)$"), "a mask"),
    (
        re.compile(r"^(inv_freq|freqs|freqs_cis|(cos|sin)_cached|rope_freqs)$"),
        "frequencies of rotary positions: constants, not weights",
    ),
    (
        re.compile(r"(^|_)log_?(std|sigma|var)(_?dev)?s?$|^(std|sigma)s?$", re.IGNORECASE),
        "a standard deviation or its logarithm, not a kernel",
    ),
    (
        re.compile(
            r"^(weight|bias|kernel)_(sigma|rho|eps(ilon)?)$"
            r"|^(sigma|rho|eps(ilon)?)_(weight|bias|kernel)$"
        ),
        "the deviation or the noise of a random weight, not a kernel",
    ),
    (re.compile(r"^prior_(weight|bias)_"), "a prior of a random weight, not a kernel"),
    (re.compile(r"^spline_(weight|scaler)$"), "weights of splines, not a kernel"),
    (re.compile(r"^_?ema_|embed_avg$|cluster_size$"), "a moving average of a codebook"),
    (re.compile(r"^att(n)?(_(src|dst|edge|[lr]))?$"), "vectors of graph attention, not a kernel"),
    (re.compile(r"^queue$"), "a queue of features, not a kernel"),
    (re.compile(r"^A_logs?$"), "a state matrix of a state space model, not a dense kernel"),
    (re.compile(r"^grid$"), "a grid of places: constants, not weights"),
    (re.compile(r"^([hc]_?0|init(ial)?_(state|hidden|[hc]))$"), "a state to begin with"),
)
_LOSS = re.compile(r"(^|[._])(criterion|loss(_?f(n|unc(tion)?)?)?|\w{1,40}_loss)\.(pos_)?weight$")


@lru_cache(maxsize=1024)  # there are few different ones in a net
def _by_leaf(leaf: str) -> str:
    return next((reason for pattern, reason in _BY_LEAF if pattern.search(leaf)), "")


def no_part(entry: Entry) -> str:
    """Why a tensor is no part of a layer, by its name; empty if the name does not say it."""
    name = entry.name[-_LONGEST:]
    for pattern, reason in _BY_NAME:
        if pattern.search(name):
            return reason
    if reason := _by_leaf(entry.leaf[-_LONGEST:]):
        return reason
    if len(entry.shape) == 1 and _LOSS.search(name):
        return "weights of classes in a loss, not a norm"
    return ""
