"""Keras: whole models and weights in HDF5 (.h5, .weights.h5), and archives of Keras 3 (.keras)."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from weightspace.checkpoints.contents import Contents, Form, Opened
from weightspace.checkpoints.formats.archives import listed, located
from weightspace.checkpoints.formats.cursor import broken
from weightspace.checkpoints.formats.hdf5 import MAGIC, Hdf5
from weightspace.checkpoints.formats.hdf5objects import Object
from weightspace.checkpoints.formats.kerasnames import leaves, snake, usual
from weightspace.checkpoints.formats.kerasoptimizer import optimizer_of
from weightspace.checkpoints.formats.npz import first_name
from weightspace.checkpoints.formats.part import Part
from weightspace.checkpoints.formats.turning import TURNED, in_torch_order
from weightspace.checkpoints.formats.unpacking import check_members, content_of
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.selection.states import check_entries
from weightspace.checkpoints.tensors import Checksum, Tensor, Values
from weightspace.networks.roles import Note
from weightspace.printable import printable

_WEIGHTS = "model.weights.h5"
_ARCHIVE = (b"metadata.json", b"config.json", b"model.weights.h5", b"model.weights.json")
_LONGEST_CONFIG = 2**20  # bytes that are kept as facts
_LONGEST_READ = 2**24
_MOST_IN_MEMORY = 2**30  # of weights that are deflated in an archive
_MOST_LAYERS = 2**14
_GROUPS = ("layers", "_layer_checkpoint_dependencies", "vars")
_NUMBER = re.compile(r":\d+$")


@dataclass
class _Found:
    """The tensors with their names in the net, notes, and whether the file says the order."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    ordered: bool = False
    transposed: bool = True

    def keep(self, name: str, tensor: Tensor) -> None:
        """Take a tensor, or the note of why it is none."""
        if tensor.kind:
            self.notes.append(Note(name, tensor.shape, tensor.kind, "not numbers"))
        elif name in self.tensors:
            raise broken(f"{printable(name, 60)} is in it twice")
        else:
            self.tensors[name] = tensor


def _read_hdf5(opened: Opened) -> Contents:
    file = Hdf5(Part(opened.file, 0, opened.size))
    facts: dict[str, Any] = {}
    for name in ("keras_version", "backend"):
        if said := file.texts(file.root, name):
            facts[name] = printable(said[0])
    config: Any = None
    training: Any = None
    for name in ("model_config", "training_config"):
        said = file.texts(file.root, name)
        if said and len(said[0]) <= _LONGEST_READ:
            parsed = _json(said[0])
            config, training = (parsed, training) if name == "model_config" else (config, parsed)
            if len(said[0]) <= _LONGEST_CONFIG:
                facts[name] = parsed
    return _contents(opened, file, _Layers.of(config), facts, training)


def _read_archive(opened: Opened) -> Contents:
    members = located(opened.file, listed(opened.file, opened.size))
    check_members(members.values())
    weights = members.get(_WEIGHTS)
    if weights is None:
        raise Refusal(
            "a Keras archive without model.weights.h5", "save the model with model.save(name.h5)"
        )
    if weights.stored:
        checksum = Checksum(weights.crc, 0, weights.size, _WEIGHTS)
        part = Part(opened.file, weights.start, weights.size, checksum)
    elif weights.size > _MOST_IN_MEMORY:
        raise Refusal(
            f"its weights are compressed, and take {weights.size:,} bytes", "unpack the archive"
        )
    else:
        raw = io.BytesIO(content_of(opened.file, weights).tobytes())
        part = Part(raw, 0, weights.size)
    facts: dict[str, Any] = {}
    config: Any = None
    for name in ("metadata", "config"):
        member = members.get(f"{name}.json")
        if member is not None and member.size <= _LONGEST_READ:
            config = _json(content_of(opened.file, member).tobytes())
            if member.size <= _LONGEST_CONFIG:
                facts[name] = config
    return _contents(opened, Hdf5(part), _Layers.of(config), facts, config)


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _contents(
    opened: Opened, file: Hdf5, layers: _Layers, facts: dict[str, Any], training: Any
) -> Contents:
    found = _found(file, layers)
    values = Values(opened.file)
    file.check_apart()
    check_entries(found.tensors)
    form = "Keras"
    if found.transposed:
        facts["transposed"] = TURNED
        tensors = in_torch_order(found.tensors)
    else:
        form, tensors = "HDF5", {k.replace("/", "."): t for k, t in found.tensors.items()}
    if layers.kinds:
        facts["layers"] = dict(layers.kinds)
    if found.transposed and (optimizer := optimizer_of(file, values, training)):
        facts["optimizer"] = optimizer
    return Contents(
        form,
        tensors,
        values,
        found.ordered,
        tuple(found.notes),
        facts=facts,
        nbytes=opened.size + file.unpacked,
    )


def _found(file: Hdf5, layers: _Layers) -> _Found:
    group = file.inner(file.root, "model_weights") or file.root
    if names := file.texts(group, "layer_names"):
        return _of_layers(file, group, names, layers)
    if any(name in file.members(file.root) for name in _GROUPS):
        return _of_variables(file, layers)
    found = _Found(transposed=False)
    for path, dataset in file.datasets(file.root):
        found.transposed |= path.endswith("/kernel")
        found.keep(path, file.tensor(dataset, path))
    return found


# ---- Keras 1 and 2, and .h5 files of Keras 3: attributes name the layers and their weights


def _of_layers(file: Hdf5, group: Object, names: list[str], layers: _Layers) -> _Found:
    found = _Found(ordered=True)
    for layer in names:
        inner = file.inner(group, layer)
        if inner is None:
            raise broken(f"the layer {printable(layer, 60)} is not in it")
        for name in file.texts(inner, "weight_names"):
            dataset = file.inner(inner, name)
            if dataset is None or not dataset.is_dataset:
                raise broken(f"{printable(name, 60)} is not in it")
            found.keep(_name(layer, name, layers), file.tensor(dataset, name))
    return found


def _name(layer: str, name: str, layers: _Layers) -> str:
    """The name of a weight: its layer and what it is, such as "conv/kernel"."""
    parts = _NUMBER.sub("", name).split("/")
    while layer in parts[:-1]:
        parts = parts[parts.index(layer) + 1 :]
    module = "/".join([layer, *parts[:-1]])
    leaf = parts[-1]
    if leaf == "kernel" and layers.kind(module.rpartition("/")[2]).startswith("depthwise"):
        leaf = "depthwise_kernel"
    return f"{module}/{leaf}"


# ---- Keras 3: groups of numbered variables


def _of_variables(file: Hdf5, layers: _Layers) -> _Found:
    groups: dict[str, list[tuple[int, Object]]] = {}
    found = _Found(ordered=bool(layers.order))
    for path, dataset in file.datasets(file.root):
        module, _, last = path.rpartition("/")
        if path.startswith("optimizer/"):
            found.notes.append(Note(path, file.shape(dataset), "", "of the optimizer"))
        elif module.rpartition("/")[2] == "vars" and last.isdecimal() and len(last) < 9:
            groups.setdefault(module, []).append((int(last), dataset))
        else:
            found.keep(path, file.tensor(dataset, path))
    ways = _ways(file, groups)
    for module in sorted(groups, key=lambda module: [layers.place(n) for n in ways[module]]):
        rows = [file.tensor(one, module) for _, one in sorted(groups[module], key=_by_number)]
        way, path = ways[module], "/".join(ways[module])
        own = way[-1] if way else ""
        kind = layers.kinds.get(own) or usual(*_plain(module)[-1:], own)
        setting = layers.settings.get(own, {})
        for leaf, tensor in zip(leaves(kind, [t.shape for t in rows], setting), rows, strict=True):
            found.keep(f"{path}/{leaf}" if path else leaf, tensor)
    return found


def _by_number(row: tuple[int, Object]) -> int:
    return row[0]


def _plain(module: str) -> list[str]:
    """The names on the way to a group of variables, without the words of the form."""
    return [name for name in module.split("/") if name not in _GROUPS]


def _ways(file: Hdf5, groups: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names on the way to each group: the layers' own, where no two groups get the same."""
    ways: dict[str, list[str]] = {}
    for module in groups:
        parts = module.split("/")
        ways[module] = []
        for number, name in enumerate(parts):
            if name not in _GROUPS:
                own = file.inner(file.root, "/".join([*parts[: number + 1], "vars"]))
                said = file.texts(own, "name") if own else []
                ways[module].append(said[0] if said and said[0] else name)
    if len({"/".join(way) for way in ways.values()}) < len(ways):
        return {module: _plain(module) for module in groups}
    return ways


@dataclass(frozen=True)
class _Layers:
    """What a model's configuration says of its layers, by their names.

    Attributes
    ----------
    kinds : dict of str to str
        The class, in lower case with underscores, as Keras numbers layers.
    settings : dict of str to dict
        Whether there is a bias, a centre, a scale.
    order : dict of str to int
        The place in the list of layers.
    """

    kinds: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    order: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Any) -> _Layers:
        """The layers in a configuration, which may be missing or of any form."""
        kinds: dict[str, str] = {}
        settings: dict[str, Mapping[str, Any]] = {}
        for name, kind, setting in _layers(config):
            kinds.setdefault(name, snake(kind))
            settings.setdefault(name, setting)
        return cls(kinds, settings, {name: place for place, name in enumerate(kinds)})

    def kind(self, name: str) -> str:
        """The class of a layer; by its name, if the configuration does not say it."""
        return self.kinds.get(name, "" if self.kinds else snake(name))

    def place(self, name: str) -> int:
        """The place of a layer; those that are not listed come last."""
        return self.order.get(name, len(self.order))


def _layers(config: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Name, class and settings of every layer, in order, with those of models within."""
    waiting = [config]
    count = 0
    while waiting:
        found = waiting.pop()
        inner = found.get("config") if isinstance(found, dict) else None
        if not isinstance(inner, dict):
            if isinstance(inner, list):  # the first versions of Keras
                waiting += reversed(inner[:_MOST_LAYERS])
            continue
        count += 1
        if count > _MOST_LAYERS:
            return
        name, kind = inner.get("name"), found.get("class_name")
        if isinstance(name, str) and isinstance(kind, str):
            flags = {k: v for k, v in inner.items() if isinstance(v, bool)}
            yield name[:200], kind[:200], flags
        if isinstance(layers := inner.get("layers"), list):
            waiting += reversed(layers[:_MOST_LAYERS])
        elif isinstance(layer := inner.get("layer"), dict):  # of a wrapper
            waiting.append(layer)


HDF5 = Form("HDF5", (".h5", ".hdf5"), lambda opened: opened.head.startswith(MAGIC), _read_hdf5)
ARCHIVE = Form(
    "Keras", (".keras",), lambda opened: first_name(opened.head) in _ARCHIVE, _read_archive
)
