"""Modules of one's own: found where the user names their files, and known for one call."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from weightspace.disk import read_text
from weightspace.errors import DataError, UsageError
from weightspace.networks.modules.plan import ModulePlan
from weightspace.networks.modules.source import MODULE, NAMED, OwnModule
from weightspace.networks.planning import plan_of
from weightspace.sampling.options import Options
from weightspace.space import Choice, Constant, Recipe, Space, Uniform, preset
from weightspace.training.names import TABLES
from weightspace.zoo import MANIFEST
from weightspace.zoo.format.manifest import read as read_manifest

LARGEST = 2**20
"""The most bytes of a module's file."""

BUILT = ("activation", "filter_size", "depth_conv", "depth_fc", "width_conv", "width_fc",
         "blocks", "batch_norm", "dropout", "norm", "norm_position", "bias", "padding", "pooling",
         "pool_size", "global_pool", "dropout_conv")  # fmt: skip
"""Hyper-parameters that have no effect but through the layers, which a module makes itself."""

log = logging.getLogger("weightspace")

_Asked = TypeVar("_Asked", bound=Options)


@contextmanager
def modules_of(options: _Asked) -> Iterator[_Asked]:
    """The options with the space's modules by their names, while the table has the modules.

    A file is only read if the user named it: as `module`, or in the file of the space that he gave.
    """
    space = options.space
    space = preset(space) if isinstance(space, str) else space
    try:
        space, found = _resolved(space, options.modules_named)
    except UsageError as error:
        raise space.placed(error) from None
    with suppress(DataError):  # said by what opens the zoo
        if (Path(options.out) / MANIFEST).exists():
            there = read_manifest(Path(options.out))["info"]
            refuse_other(Path(options.out), there, {own.file: own.sha256 for own in found})
    with _known(found):
        yield replace(options, space=space)


@contextmanager
def modules_known(space: Space, module: str | None = None) -> Iterator[Space]:
    """The space with its modules by name, while the table of architectures has them.

    Parameters
    ----------
    space : Space
        The space, perhaps of a file beside which modules lie.
    module : str, optional
        A module, "net.py:build", as the architecture.

    Yields
    ------
    Space
    """
    space, found = _resolved(space, () if module is None else (module,))
    with _known(found):
        yield space


def _resolved(space: Space, named: Iterable[str]) -> tuple[Space, list[OwnModule]]:
    """The space with its modules by name, and the modules."""
    files: dict[str, Path] = {}
    functions: list[str] = []
    for text in named:
        path, function = split(text)
        _enter(files, path)
        functions += [f"{path.name}:{function}"] if function else []
    if functions:
        wanted: Any = functions[0] if len(functions) == 1 else functions
        space = space.with_constants(architecture=wanted)
    beside = space.places.get("architecture")
    for value in space.values("architecture"):
        if not (match := NAMED.fullmatch(value)):
            continue
        path = Path(match["file"])
        if path.name in files:
            continue
        if beside is None:
            raise UsageError(
                "architecture",
                f"{value} is a module of one's own, whose file no zoo and no Space holds",
                f'give it with `module="{value}"`',
            )
        _enter(files, Path(beside.rpartition(":")[0]).parent / path)
    space = _by_name(space)
    names = [value for value in space.values("architecture") if NAMED.fullmatch(value)]
    if idle := set(files) - {name.rpartition(":")[0] for name in names}:
        file = min(idle)
        raise UsageError(
            "module", f"no architecture of the space is of {file}", f"write it as {file}:FUNCTION"
        )
    alone = names and len(names) == len(space.values("architecture"))
    if alone and "initialization" not in space.distributions:
        given = space.distributions | {"initialization": Constant(MODULE)}
        space = replace(space, distributions=given)
    return space, [_read(files, name) for name in names]


def split(text: str) -> tuple[Path, str]:
    """The file and the function of "net.py:build"; no function of "net.py"."""
    match = NAMED.fullmatch(text)
    path = Path(match["file"] if match else text)
    if path.suffix != ".py":
        raise UsageError("module", f"{text!r} names no Python file", "write it as net.py:build")
    return path, match["function"] if match else ""


def _enter(files: dict[str, Path], path: Path) -> None:
    there = files.setdefault(path.name, path)
    if there.absolute() != path.absolute():
        raise UsageError(
            "architecture", f"{there} and {path} have one name", "rename one, or give one of them"
        )


def _by_name(space: Space) -> Space:
    """The space with the names of modules' files without their folders."""

    def short(value: Any) -> Any:
        match = NAMED.fullmatch(value)
        return f"{Path(match['file']).name}:{match['function']}" if match else value

    how = space.distributions.get("architecture")
    if isinstance(how, Constant):
        how = Constant(short(how.value))
    elif isinstance(how, Choice):
        how = Choice(tuple(map(short, how.values)))
    else:
        return space
    return replace(space, distributions=space.distributions | {"architecture": how})


def _read(files: Mapping[str, Path], name: str) -> OwnModule:
    file, _, function = name.rpartition(":")
    return OwnModule(file, function, text_of(files[file]))


def text_of(path: Path) -> str:
    """What a module's file holds."""
    try:
        return read_text(path, LARGEST)
    except UnicodeDecodeError:
        raise DataError(path, "is not text in UTF-8", "save it as such") from None
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "check its path") from None


@contextmanager
def _known(modules: Iterable[OwnModule]) -> Iterator[None]:
    """Put modules into the table for a while, so that recipes can name them."""
    table = TABLES["architecture"]
    modules = list(modules)
    before = {own.name: table[own.name] for own in modules if own.name in table}
    table.update({own.name: own for own in modules})
    try:
        yield
    finally:
        for own in modules:
            table.pop(own.name, None)
        table.update(before)


def hashes(names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each file of which these architectures are."""
    found = (TABLES["architecture"].get(name) for name in names)
    return {own.file: own.sha256 for own in found if isinstance(own, OwnModule)}


def refuse_other(zoo: Path, info: Mapping[str, Any], here: Mapping[str, str]) -> None:
    """Raise UsageError if a zoo's nets are modules of files that were not given, or of others."""
    there = info.get("modules")
    for file, digest in there.items() if isinstance(there, dict) else ():
        if file not in here:
            raise UsageError(
                zoo,
                f"its nets are modules of {file}, which no zoo holds",
                f'give the file again with `module="{file}"`',
            )
        if here[file] != digest:
            raise UsageError(
                zoo,
                f"was sampled with another {file} (SHA-256 {str(digest)[:12]}... there, "
                f"{here[file][:12]}... here)",
                "give the file that it was sampled with",
            )


@contextmanager
def module_again(
    zoo: Path, info: Mapping[str, Any], recipe: Recipe, module: str | None
) -> Iterator[None]:
    """The module of one net of a zoo, from the file that the user gave again."""
    if not NAMED.fullmatch(recipe.architecture):
        yield
        return
    own: list[OwnModule] = []
    file, _, function = recipe.architecture.rpartition(":")
    if module is not None:
        path, given = split(module)
        if given and given != function:
            raise UsageError(
                module, f"the net is a {recipe.architecture}", f'give `module="{file}"`'
            )
        own = [OwnModule(file, function, text_of(path))]
    there = info.get("modules")
    known = there if isinstance(there, dict) and file in there else {file: "unknown"}
    refuse_other(zoo, {"modules": {file: known[file]}}, {one.file: one.sha256 for one in own})
    with _known(own):
        yield


def tell_unread(space: Space, recipes: Iterable[Recipe]) -> None:
    """Warn of properties that have no effect, because no module reads them."""
    reads: set[str] = set()
    for plan in {plan_of(recipe) for recipe in recipes}:
        if not isinstance(plan, ModulePlan):
            return
        reads |= {name for name, _ in plan.reads}
    varied = (name for name in BUILT if isinstance(space.distributions.get(name), Choice | Uniform))
    for name in varied:
        if name not in reads:
            log.warning(f"{name} varies, but no module reads it: it has no effect on the nets")
