"""What the names of modules say: numbers, places in a net, and which norm goes with which layer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from weightspace.networks.roles.entries import OUTPUT

_DIGITS = re.compile(r"\d+")
_ONE_NUMBER = re.compile(r"\D+(\d\d?)")
_MOST_NUMBERS = 16  # in a name; further numbers are sorted as text
_LONGEST = 80  # a longer component is no word that anybody chose
_DEEPEST = 24  # components of a name; the rest counts as one
_SEPARATOR = re.compile(r"[./]")
_PLAIN = ("weight", "kernel", "w", "W")
_RECURRENT = re.compile(r"weight_(ih|hh|hr)(?:_l(\d{1,9})(_reverse)?)?")
_OF_GGUF = re.compile(r"(attn)_(q|k|v|qkv|output)|(ffn)_(gate|up|down)")
_DIMENSIONS = re.compile(r"(conv|norm|pool|drop|dropout)_?[123]d")
_LETTERED = re.compile(r"(\d)([a-z])(?=$|_)")
_NORM_NAME = re.compile(r"(norm|bn)\d*$", re.IGNORECASE)
_KINDS = re.compile(
    r"(batch_?|layer_?|group_?|instance_?|rms_?)?norm([123]d)?|bn([123]d)?|ln|gn"
    r"|conv(olution)?([123]d)?|linear|lin|dense|fc|layer|[_-]"
)
_MIDDLE = 3
SIDE = 9  # the place of shortcuts, and of nets for position biases
# Where in a net or a block a word belongs, the first that fits. It decides between layers that fit
# each other equally well by their widths, before the alphabet does.
_PLACES = (
    (2, re.compile(r"cross_?att|multihead_att|encoder_att|enc_?dec")),
    (1, re.compile(r"attn|attention|^qkv")),
    (SIDE, re.compile(r"down_?sampl(?!e_?layers)|shortcut|^skip|identity|^res_?conv|^aux|^cpb_")),
    (4, re.compile(r"^_?(conv|se|fc)_expand|excit|^conv_pwl$")),
    (2, re.compile(r"^conv_pw$")),
    (
        0,
        re.compile(
            r"^ln_pre|_pre$|stem|patch|embed|^inc?$|^in_|_in$|input|^enc|^down|first|^init|feature"
        ),
    ),
    (8, re.compile(r"classifier|logit|head|final|last|^pred|score|^cls|^top$")),
    (7, re.compile(r"^out|_out$|output|o_proj|^wo$|^w_o$|^_?proj|c_proj|pooler")),
    (6, re.compile(r"^dec|^up|deconv|generator|^(fc|linear|dense)_?$")),
    (5, re.compile(r"^_?se_?$|squeeze|^mlp|^ffn?|feed_?forward|intermediate|neck")),
    (2, re.compile(r"backbone|^body|^trunk|expand")),
)
# Branches that run side by side keep this order, whatever their widths are.
_BRANCHES = (
    (re.compile(r"(to_|w_?|linear_?|lin_?)?q(uery)?(_proj|_lin|_linear)?"), "query", 0),
    (re.compile(r"(to_|w_?|linear_?|lin_?)?k(ey)?(_proj|_lin|_linear)?"), "key", 1),
    (re.compile(r"(to_|w_?|linear_?|lin_?)?v(alue)?(_proj|_lin|_linear)?"), "value", 2),
    (re.compile(r"gate(_proj)?"), "gate", 0),
    (re.compile(r"up_proj"), "up", 1),
    (re.compile(r"down_proj"), "down", 2),
    (re.compile(r"squeeze(_?#x)?"), "squeeze", 0),  # SqueezeNet: expand1x1, expand3x3
    (re.compile(r"expand_?#x"), "expand", 1),
)
# One of these pairs must be there.
_PAIRS = ({"query", "key"}, {"gate", "up"}, {"up", "down"}, {"squeeze", "expand"})
_ROUTER = re.compile(r"gate|gating|router|w_?g")
_SQUEEZE = re.compile(r"^_?se(_|\d|$)|squeeze_?(and_?)?excit|^se_?(layer|block|module)")
_DECODER = re.compile(r"^(dec|up|deconv)|decoder|transpose")
_TRANSPOSED = re.compile(r"deconv|transpose|conv_?t(rans)?[\d_]*$|^t_?conv")
_SIDE = re.compile(r"(^|_)(before|after)(?=_|$)|^(input|pre|post)_")
_CLOSING = re.compile(r"^(norm|bn|ln|layer_?norm|batch_?norm)$|final|last|post|out|_f$|head")
_LAST = re.compile(r"final|last|post|_f$")


def natural(name: str) -> str:
    """A sorting key that puts conv2 before conv10.

    >>> sorted(["conv10", "conv2", "conv"], key=natural)
    ['conv', 'conv2', 'conv10']
    """
    # Digits are compared by their count first, not as an int, which Python refuses for thousands
    # of them. The NUL in front makes numbers come before all letters.
    return _DIGITS.sub(_sortable, name, count=_MOST_NUMBERS)


def _sortable(match: re.Match[str]) -> str:
    digits = match.group().lstrip("0")
    return f"\0{len(digits):08x}{digits}"


def path(name: str) -> tuple[str, ...]:
    """The modules that lead to a kernel, without the word for a kernel at the end.

    >>> path("layer1.0.conv1.weight"), path("attn.in_proj_weight")
    (('layer1', '0', 'conv1'), ('attn', 'in_proj'))

    GGUF has one word for a module and the one within it.

    >>> path("blk.0.attn_q.weight"), path("blk.0.ffn_down.weight")
    (('blk', '0', 'attn', 'q'), ('blk', '0', 'ffn', 'down_proj'))
    """
    steps = _SEPARATOR.split(name.removesuffix(OUTPUT), maxsplit=_DEEPEST)
    if len(steps) > 1 and steps[-1] in _PLAIN:
        steps.pop()
    else:
        steps[-1] = steps[-1].removesuffix("_weight").removesuffix("_kernel")
    if match := _OF_GGUF.fullmatch(steps[-1]):
        module, part = filter(None, match.groups())
        steps[-1:] = [module, f"{part}_proj" if module == "ffn" else part]
    return tuple(steps)


def steps_of(module: str) -> tuple[str, ...]:
    """The modules that lead to a module; none for the net itself."""
    return tuple(_SEPARATOR.split(module, maxsplit=_DEEPEST)) if module else ()


def family(step: str) -> tuple[str, tuple[str, ...]]:
    """The word of a module's name, and its numbers; modules of one word are in their order.

    >>> family("conv2") < family("conv10"), family("inception3a")[0] == family("inception4b")[0]
    (True, True)
    """
    if match := _RECURRENT.fullmatch(step):
        kind, number, reverse = match.groups()
        return "recurrent", (
            natural(number or "0"),
            "1" if reverse else "0",
            kind.replace("ih", "a"),
        )
    if len(step) > _LONGEST:
        return step, (natural(step),)
    text = _DIMENSIONS.sub(r"\1", step)
    text = _LETTERED.sub(lambda match: f"{match[1]}~{ord(match[2]) - 96}", text)
    numbers = tuple(natural(match) for match in _DIGITS.findall(text)[:_MOST_NUMBERS])
    return _DIGITS.sub("#", text, count=_MOST_NUMBERS).rstrip("#"), numbers


def turns(steps: Sequence[str]) -> list[tuple[str, ...]]:
    """The numbers of modules of one word, by which they are sorted.

    The second digit may count layers side by side: where there is no fc2, fc21 comes before fc3.

    >>> turns(["fc1", "fc21", "fc3"]) == [family(step)[1] for step in ("fc1", "fc2_1", "fc3")]
    True
    """
    numbers = [match[1] for step in steps if (match := _ONE_NUMBER.fullmatch(step))]
    single = {number for number in numbers if len(number) == 1}
    double = {number for number in numbers if len(number) == 2}
    firsts = {number[0] for number in double}
    no_gap = "".join(sorted(single | firsts)) in "123456789"
    counted = {f"{digit}1" for digit in firsts} <= double and all(n[1] != "0" for n in double)
    if single and len(numbers) == len(steps) and not single & firsts and no_gap and counted:
        return [tuple(natural(digit) for digit in number) for number in numbers]
    return [family(step)[1] for step in steps]


def place(word: str) -> int:
    """Where a word belongs in a net or a block, from 0 to 9."""
    word = word.lower()
    if len(word) > _LONGEST:
        return _MIDDLE
    return next((place for place, pattern in _PLACES if pattern.search(word)), _MIDDLE)


def branches(words: set[str]) -> dict[str, int]:
    """The places of words for parallel branches, such as query, key and value; 3 for others.

    Empty if there are no such branches.
    """
    found = {
        word: (name, place)
        for word in words
        if len(word) <= _LONGEST
        for pattern, name, place in _BRANCHES
        if pattern.fullmatch(word.lower())
    }
    if any(word.lower().startswith("expert") for word in words):
        routers = {word for word in words if _ROUTER.fullmatch(word.lower())}
        return {word: 0 if word in routers else 3 for word in words} if routers else {}
    names = {name for name, _ in found.values()}
    if not any(pair <= names for pair in _PAIRS):
        return {}
    return {word: found[word][1] if word in found else 3 for word in words}


def is_kernel(leaf: str) -> bool:
    """Whether the last component of a name is a word for a kernel, so that others are beside it."""
    return leaf in _PLAIN or leaf.startswith("weight")


def is_decoder(word: str) -> bool:
    """Whether modules of this word may be numbered from the last to the first, as in U-Nets."""
    return len(word) <= _LONGEST and bool(_DECODER.search(word.lower()))


def is_transposed(module: str) -> bool:
    """Whether a module has the name of a transposed convolution."""
    last = _SEPARATOR.split(module[-_LONGEST:])[-1].lower()
    return len(last) < _LONGEST and bool(_TRANSPOSED.search(last))


def is_norm(module: str) -> bool:
    """Whether a module has the name of a norm: norm, bn2, ln, ln_1, ln_post."""
    last = module.rpartition(".")[2].lower()
    if _NORM_NAME.search(last):
        return True
    word = re.split(r"\W", last)[-1]  # one search for "_ln" and word characters to the end may
    return "_ln" in word or (word == last and last.startswith("ln"))  # begin anew at every "_ln"


def is_squeeze(step: str) -> bool:
    """Whether a module has the name of squeeze and excitation, which no norm follows."""
    return len(step) <= _LONGEST and bool(_SQUEEZE.search(step.lower()))


def is_closing(step: str) -> bool:
    """Whether a norm has the name of one at the end of a net."""
    return len(step) <= _LONGEST and bool(_CLOSING.search(step.lower()))


def is_last(step: str) -> bool:
    """Whether a norm has the name of the last one, whatever the names of others are."""
    return len(step) <= _LONGEST and bool(_LAST.search(step.lower()))


def is_output(step: str) -> bool:
    """Whether a module is the output of another one, such as BERT's attention.output."""
    return len(step) <= _LONGEST and step.lower().endswith("output")


def anchor(step: str) -> tuple[bool, int | None] | None:
    """What the name of a norm says of its side: whether it is before, and the place of what.

    The place is that of the word for a module, None if there is no such word. None if the name says
    nothing.

    >>> anchor("layernorm_before"), anchor("post_attention_layernorm"), anchor("ln_1")
    ((True, None), (False, 1), None)
    """
    word = step.lower()
    if len(step) > _LONGEST or not (match := _SIDE.search(word)):
        return None
    rest = _KINDS.sub("", word[: match.start()] + word[match.end() :])
    before = match.group().strip("_") in ("before", "input", "pre")
    return before, place(rest) if rest else None


def partner_keys(step: str) -> tuple[str, ...]:
    """What the name of a norm has in common with its layer's, the surest first.

    >>> partner_keys("bn2"), partner_keys("conv2")[:1], partner_keys("stem_norm")
    (('2',), ('2',), ('stem',))
    """
    if len(step) > _LONGEST:
        return ()
    rest = _KINDS.sub("", step.lower())
    number = step[len(step.rstrip("0123456789")) :]
    return tuple(dict.fromkeys(key for key in (rest, number) if key))
