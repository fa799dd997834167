"""`ModulePlan`: what a module of a user's own is, as far as training has to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from weightspace.errors import UsageError
from weightspace.networks.initializations import initial_vector
from weightspace.networks.layout import RUNNING, Layout
from weightspace.networks.modules.dropout import Deck, Site, take_over
from weightspace.networks.modules.randomness import numbers_from, standing
from weightspace.networks.modules.reading import Read
from weightspace.networks.modules.running import failed, load, make
from weightspace.networks.modules.shape import ModuleShape
from weightspace.networks.modules.source import MODULE, OwnModule
from weightspace.networks.modules.tensors import copies, everything, shape_of, vector_of
from weightspace.networks.modules.work import Work
from weightspace.space import Recipe

_PROBED = 2
"""Images of the forward passes that show what a module does."""


@dataclass(frozen=True)
class ModulePlan:
    """A module of a recipe; recipes whose plans are equal can share a stack.

    Attributes
    ----------
    module : OwnModule
        The file and its function.
    reads : tuple of (str, value)
        The hyper-parameters that the function read, with their values.
    looks : str
        The module as text.
    recipe : Recipe
        The recipe that it was made of.
    shape : ModuleShape
        Its tensors.
    work : Work
        How much one image costs.
    draws : bool
        Whether its forward pass draws random numbers from torch's generator, other than those of
        dropout modules.
    """

    module: OwnModule
    reads: tuple[tuple[str, Any], ...]
    looks: str
    recipe: Recipe = field(compare=False)
    shape: ModuleShape = field(compare=False)
    work: Work = field(compare=False)
    draws: bool = field(compare=False)
    _sites: dict[int, tuple[Site, ...]] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        """The name of the module and the number of its values."""
        return f"{self.module.name} ({self.shape.layout.size:,} values)"

    @property
    def outputs(self) -> int:
        """The number of logits."""
        return self.recipe.outputs

    @property
    def multiplications(self) -> int:
        """The multiplications of one image's forward pass, roughly."""
        return self.work.multiplications

    @property
    def values_per_image(self) -> int:
        """The number of values that its modules output for one image."""
        return self.work.values

    def layout(self) -> Layout:
        """The layout of the vectors that a zoo keeps."""
        return self.shape.layout

    def make(self) -> tuple[nn.Module, Deck]:
        """The module, on the CPU, and where it takes the factors of dropout from."""
        return _made(self.module, Read.of(self.recipe), self.recipe.seed)

    def initial(self, recipe: Recipe, u: Tensor) -> Tensor:
        """The first vector of a net, float64 [P], from `u`, uniform float64 [layout.size].

        By its own initialization, with torch's generator seeded by the recipe's seed, or by that of
        the recipe: then biases are 0, and what is no kernel, bias or norm keeps its own values.
        """
        net, _ = _made(self.module, Read.of(recipe), recipe.seed)
        there = {piece.name: piece.shape for piece in self.shape.pieces}
        found = {name: tuple(tensor.shape) for name, tensor in everything(net).items()}
        if repr(net) != self.looks or any(found.get(name) != s for name, s in there.items()):
            raise UsageError(
                self.module.name,
                "makes other layers for another seed",
                "let its layers depend on the recipe, or read recipe.seed for random ones",
            )
        vector = vector_of(net, self.shape)
        if recipe.initialization != MODULE:
            named = initial_vector(self.shape.layout, recipe.initialization, u)
            pieces = zip(self.shape.layout.tensors, self.shape.pieces, strict=False)
            for spec, piece in pieces:
                if piece.trained or spec.role in RUNNING:
                    vector[spec.offset : spec.stop] = named[spec.offset : spec.stop]
        return vector

    def sites(self, batch: int) -> tuple[Site, ...]:
        """The uses of dropout in a training pass over so many images."""
        if batch not in self._sites:
            net, deck = self.make()
            deck.sites = []
            with numbers_from(0), torch.no_grad():
                _run(self.module, net.train(), _images(self.recipe, batch))
            self._sites[batch] = tuple(deck.sites)
        return self._sites[batch]


_KNOWN: dict[OwnModule, dict[tuple[str, ...], dict[tuple[Any, ...], ModulePlan]]] = {}


def module_plan(own: OwnModule, recipe: Recipe) -> ModulePlan:
    """The plan of a recipe; one module is made and run for all recipes that it cannot tell apart.

    Raises
    ------
    UsageError
        If the module cannot be made, run on the recipe's images, or trained.
    """
    known = _KNOWN.setdefault(own, {})
    for names, plans in known.items():
        if plan := plans.get(tuple(getattr(recipe, name) for name in names)):
            return plan
    plan = _probed(own, recipe)
    names = tuple(name for name, _ in plan.reads)
    known.setdefault(names, {})[tuple(value for _, value in plan.reads)] = plan
    return plan


def _probed(own: OwnModule, recipe: Recipe) -> ModulePlan:
    """Make a module and run it on a few random images, to see what it is."""
    read = Read.of(recipe)
    net, deck = _made(own, read, recipe.seed)
    looks, images = repr(net), _images(recipe, _PROBED)
    other = copies(_made(own, read, recipe.seed + 1)[0])
    deck.sites = []
    before, plain = copies(net), _plain(net)
    with numbers_from(0), torch.no_grad():
        start = standing()
        with Work.watched(net, _PROBED) as work:
            logits = _run(own, net.train(), images)
        draws = standing() != start
        after = copies(net)
        middle = standing()
        _run(own, net.eval(), images)
        draws |= standing() != middle
    _refuse_logits(own, recipe, logits)
    if changed := _differing(plain, _plain(net)):
        raise UsageError(
            own.name,
            f"keeps {changed[0]} outside of its parameters and buffers, where it is not saved",
            "register a buffer",
        )
    names = [name for name, tensor in before.items() if not isinstance(tensor, nn.Parameter)]
    moving = {
        n for n in names if not (_same(before[n], after[n]) and _same(before[n], other.get(n)))
    }
    shape = shape_of(own.name, net, moving)
    reads = tuple(read.reads.items())
    return ModulePlan(own, reads, looks, recipe, shape, work.of(net), draws)


def _made(own: OwnModule, read: Recipe, seed: int) -> tuple[nn.Module, Deck]:
    """A module with its own initial values under a seed, and the deck of its dropout."""
    load(own)  # what the file itself draws must not count
    deck = Deck()
    with numbers_from(seed):
        net = make(own, read)
        if any(nn.parameter.is_lazy(p) for p in (*net.parameters(), *net.buffers())):
            with torch.no_grad():
                _run(own, net.eval(), _images(read, _PROBED))  # lazy layers get their sizes
            net.train()
    return take_over(net, deck), deck


def _run(own: OwnModule, net: nn.Module, images: Tensor) -> Any:
    try:
        return net(images)
    except Exception as error:  # what a user's function raises may be anything
        shown = "x".join(map(str, images.shape))
        found = failed(own, error)
        raise found.but(
            cause=found.cause.replace(f"{own.function} fails", f"fails on images {shown}", 1)
        ) from error


def _images(recipe: Recipe, count: int) -> Tensor:
    side = recipe.input_size
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, recipe.channels, side, side, generator=generator)


def _refuse_logits(own: OwnModule, recipe: Recipe, logits: Any) -> None:
    wanted = (_PROBED, recipe.outputs)
    if not isinstance(logits, Tensor):
        raise UsageError(own.name, f"gives a {type(logits).__name__}, no tensor of logits")
    if tuple(logits.shape) != wanted:
        raise UsageError(
            own.name,
            f"gives {list(logits.shape)} for {_PROBED} images where {list(wanted)} is needed",
            "end with a layer of recipe.outputs values, or set outputs",
        )


def _plain(net: nn.Module) -> dict[str, Any]:
    """The numbers that modules keep as plain attributes."""
    return {
        f"{name}.{key}".lstrip("."): value
        for name, module in net.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, int | float) and key != "training"
    }


def _differing(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [name for name, value in after.items() if before.get(name, value) != value]


def _same(one: Tensor, other: Tensor | None) -> bool:
    return other is not None and one.shape == other.shape and torch.equal(one, other)
