"""The value of a claim: of the right type, within its limits, and spelled as recipes spell it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from weightspace.audit import spelling
from weightspace.errors import UsageError
from weightspace.evidence.record import Value
from weightspace.printable import printable

_LONGEST = 200  # characters of a name
_YES = ("true", "yes", "on", "y", "used")
_NO = ("false", "no", "off", "n", "none", "null", "not_used", "without")
_SETTING = re.compile(r"([A-Za-z_]\w*)\s*=\s*(\([^()]*\)|\[[^\[\]]*\]|[^\s,;()]+)")
_ENTRY = re.compile(r"""['"](\w+)['"]\s*:\s*""")
_MOMENTUM = re.compile(r"momentum(?:\s+of|:)?\s+(\d[\w.+-]*)", re.IGNORECASE)


def _number(value: Any) -> float:
    """A number, also one that is written as text, such as "5e-05" or "10 %"."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    if isinstance(value, str):
        text = re.sub(r"\s*\(.*\)$", "", value.strip()).replace("_", "")  # a remark behind it
        if len(text) > 100:
            raise ValueError
        text = re.sub(r"(?<=\d),(?=\d{3}(\D|$))", "", text)
        share = text.endswith("%")
        value = float(text.rstrip("% ")) / (100 if share else 1)
    found = float(value)
    if not math.isfinite(found):
        raise ValueError
    return found


def _real(rule: Callable[[float], bool]) -> Callable[[Any], Value]:
    def read(value: Any) -> Value:
        found = _number(value)
        if not rule(found):
            raise ValueError
        return found

    return read


def _whole(least: int) -> Callable[[Any], Value]:
    def read(value: Any) -> Value:
        found = value if isinstance(value, int) and not isinstance(value, bool) else _number(value)
        if found < least or found != int(found) or found >= 2**63:
            raise ValueError
        return int(found)

    return read


def _share(value: Any) -> Value:
    if value is False or (isinstance(value, str) and spelling.plain(value) in _NO):
        return 0.0
    return _real(lambda x: 0 <= x < 1)(value)


def _epochs(value: Any) -> Value:
    found = _number(value)
    if found <= 0:
        raise ValueError
    return int(found) if found == int(found) else found


def _switch(value: Any) -> Value:
    if isinstance(value, bool):
        return value
    if value in (0, 1):
        return bool(value)
    if isinstance(value, str) and (said := spelling.plain(value)) in (*_YES, *_NO):
        return said in _YES
    raise ValueError


def _averaging(value: Any) -> Value:
    """True or false; a factor or the name of what is done means true."""
    return value != 0 if isinstance(value, int | float) else _augmentation(value)


def _augmentation(value: Any) -> Value:
    """True or false; the name or a list of what is done means true."""
    if isinstance(value, list | tuple):
        return bool(value)
    try:
        return _switch(value)
    except ValueError:
        if isinstance(value, str) and value.strip():
            return True
        raise


def _name(claim: str) -> Callable[[Any], Value]:
    def read(value: Any) -> Value:
        if isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        text = str(value).strip()
        if not text or len(text) > _LONGEST:
            raise ValueError
        return text if claim == "pretrained_from" else spelling.name(claim, text)

    return read


_SHARE = ("a number from 0 up to, not including, 1", _share)
_COUNT = ("a whole number from 1", _whole(1))
_RULES: Mapping[str, tuple[str, Callable[[Any], Value]]] = {
    "momentum": _SHARE,
    "dropout": _SHARE,
    "label_smoothing": _SHARE,
    "learning_rate": ("a positive number", _real(lambda x: x > 0)),
    "epsilon": ("a positive number", _real(lambda x: x > 0)),
    "weight_decay": ("a number from 0", _real(lambda x: x >= 0)),
    "epochs": ("a positive number", _epochs),
    "batch_size": _COUNT,
    "steps": _COUNT,
    "train_images": _COUNT,
    "classes": _COUNT,
    "gradient_accumulation": _COUNT,
    "seed": ("a whole number from 0", _whole(0)),
    "batch_norm": ("true or false", _switch),
    "augmentation": ("true or false, or what is done", _augmentation),
    "drop_last": ("true or false", _switch),
    "weight_averaging": ("true or false, or what is done", _averaging),
    "gradient_clipping": ("a number from 0", _real(lambda x: x >= 0)),
    "beta1": _SHARE,
    "beta2": _SHARE,
}


def checked(claim: str, value: Any) -> Value:
    """The value of a known claim; UsageError, about the claim, if it is not possible.

    >>> checked("learning_rate", "5e-05"), checked("batch_norm", "yes")
    (5e-05, True)
    """
    rule, read = _RULES.get(claim, ("a name", _name(claim)))
    try:
        return read(value)
    except (ValueError, OverflowError):
        raise UsageError(claim, f"{printable(repr(value), 80)} is not {rule}") from None


def expanded(claim: str, value: Any) -> dict[str, Any]:
    """What one entry says: "SGD(lr=0.1, momentum=0.9)" says three things. Keys are known claims.

    >>> expanded("optimizer", "Adam with betas=(0.9,0.999) and epsilon=1e-08")
    {'optimizer': 'Adam', 'beta1': '0.9', 'beta2': '0.999', 'epsilon': '1e-08'}
    """
    if claim == "betas":
        return _pair(value)
    if isinstance(value, dict):
        return _grouped(claim, value)
    if claim != "optimizer" or not isinstance(value, str):
        return {claim: value}
    if value.strip().startswith("{"):  # a dict of Python, as cards of Keras have it
        value = _ENTRY.sub(r"\1=", value.strip("{} ")).replace("'", "").replace('"', "")
        value = re.sub(r"^name=(\w+),?", r"\1,", value)
    found: dict[str, Any] = {}
    nesterov = False
    for match in _SETTING.finditer(value):
        setting, said = spelling.plain(match[1]), match[2].strip("()[]")
        if setting == "nesterov":
            nesterov = spelling.plain(said) in _YES
        elif (known := spelling.key(setting)) and known != "optimizer":
            found |= expanded(known, said)
    told = _MOMENTUM.search(value)
    if told and "momentum" not in found:
        found["momentum"] = told[1].rstrip(".")
    head = re.split(r"\(|\s+with\s+(?=\w+\s*=)|,|\s+(?=\w+\s*=)", value.strip(), maxsplit=1)[0]
    head = _MOMENTUM.sub("", head)
    head = re.sub(r"^use\s+", "", head.strip(), flags=re.IGNORECASE)
    head = re.sub(r"\s+(with|and|using)\s*$", "", head.strip(), flags=re.IGNORECASE)
    return {"optimizer": "nesterov" if nesterov else head.strip() or value} | found


def _pair(value: Any) -> dict[str, Any]:
    """The two betas, also as text such as "(0.9, 0.999)"."""
    if isinstance(value, str):
        value = [part for part in re.split(r"[,\s]+", value.strip("()[] ")) if part]
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise UsageError("betas", f"{printable(repr(value), 80)} is not two numbers")
    return {"beta1": value[0], "beta2": value[1]}


def _grouped(claim: str, value: dict[Any, Any]) -> dict[str, Any]:
    """A name and its settings, such as {"name": "Adam", "lr": 0.001}; others are left out."""
    named = {spelling.plain(str(key)): said for key, said in value.items()}
    name = next((named[key] for key in ("name", "type", "class", "_target_") if key in named), None)
    if not isinstance(name, str):
        return {claim: value}  # which is no name, and refused as such
    found = expanded(claim, name)
    for key, said in named.items():
        known = spelling.key(key)
        if known not in (None, claim) and not isinstance(said, dict):
            found |= expanded(str(known), said)
    return found
