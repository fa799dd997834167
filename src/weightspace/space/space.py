"""`Space`: which hyper-parameters vary and how; reading one from YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from weightspace.errors import UsageError
from weightspace.space.distributions import (
    Choice,
    Constant,
    Distribution,
    Uniform,
    Unknown,
    from_plain,
)
from weightspace.space.reading import PlainFile
from weightspace.space.recipe import FIELDS, Recipe

_KEYS = ("name", "description", "recipe")
_ROOMY = {"dataset": "any", "input_size": 256, "depth_conv": 64}
"""Values beside which all that a single hyper-parameter may be is possible."""


@dataclass(frozen=True)
class Space:
    """A joint distribution of recipes: every hyper-parameter drawn independently.

    `distributions` maps the name of a recipe field to how it varies; fields left out keep the
    recipe's default. `properties` are the names that vary, in the order of the recipe; what is
    `Unknown`, in the zoos of nets that others trained, is none, and cannot be drawn. `places`
    says of hyper-parameters where they were written, as `file:line`; it is no part of the space.

    >>> space = Space("two", {"dataset": Choice(("mnist", "cifar10")), "epochs": Constant(3)})
    >>> space.properties
    ('dataset',)
    >>> [recipe.dataset for recipe in space.draw(4, seed=1)]
    ['mnist', 'cifar10', 'mnist', 'cifar10']
    """

    name: str
    distributions: dict[str, Distribution]
    description: str = ""
    places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for key, distribution in self.distributions.items():
            if key not in FIELDS or key == "seed":
                known = ", ".join(name for name in FIELDS if name != "seed")
                raise UsageError(f"{key}: no such hyper-parameter; known are {known}")
            _probe(key, distribution)
        if "dataset" not in self.distributions:
            raise UsageError("dataset: a space needs one; name an image set or a list of them")
        # Only the corners that interact need a joint look: the deepest blocks on the smallest
        # input, and the shallowest net.
        on_record = {k: d for k, d in self.distributions.items() if not isinstance(d, Unknown)}
        low = {name: _lowest(d) for name, d in on_record.items()}
        high = {k: _highest(on_record[k]) for k in ("blocks",) if k in on_record}
        rest = len(on_record) < len(self.distributions)
        Recipe.from_dict(_ROOMY | {"blocks": 1} | low | high if rest else low | high)

    @property
    def properties(self) -> tuple[str, ...]:
        """Names of the hyper-parameters that vary, in the recipe's order."""
        return tuple(
            name for name in FIELDS if isinstance(self.distributions.get(name), Choice | Uniform)
        )

    def placed(self, error: UsageError) -> UsageError:
        """An error that begins with a hyper-parameter's name, led by file and line if known."""
        place = self.places.get(str(error).split(":", 1)[0])
        return UsageError(f"{place}: {error}") if place else error

    def values(self, name: str) -> tuple[Any, ...]:
        """The values that a hyper-parameter can take; of a range, its two ends."""
        if name in self.distributions:
            return _values(self.distributions[name])
        return (getattr(Recipe(dataset="any"), name),)

    def draw(self, n: int, seed: int = 0) -> list[Recipe]:
        """The first `n` recipes of the space under `seed`; more can be drawn later.

        Each choice is stratified: within every block of as many recipes as a choice has values,
        each value occurs once, so levels are balanced however few nets are drawn.
        """
        for name, distribution in self.distributions.items():
            if isinstance(distribution, Unknown):
                raise UsageError(f"{name}: is unknown, as of nets trained elsewhere; give a value")
        if n < 1:
            raise UsageError(f"nets: {n} is not a positive number of nets")
        if seed < 0:
            raise UsageError(f"seed: {seed} is negative; take a whole number from 0")
        columns = {name: self._column(name, n, seed) for name in self.distributions}
        seeds = np.random.default_rng([seed, 0x5EED]).integers(0, 2**62, size=n)
        return [
            Recipe.from_dict({name: columns[name][i] for name in columns} | {"seed": int(seeds[i])})
            for i in range(n)
        ]

    def levels(self, recipes: Sequence[Recipe]) -> np.ndarray:
        """The level of each property (column) that each recipe has, from 0: int64 [n, properties].

        A range has three levels; -1 stands for a value that is not in the space.
        """
        found = np.empty((len(recipes), len(self.properties)), np.int64)
        for j, name in enumerate(self.properties):
            distribution = self.distributions[name]
            assert isinstance(distribution, Choice | Uniform)
            found[:, j] = distribution.levels([getattr(recipe, name) for recipe in recipes])
        return found

    def _column(self, name: str, n: int, seed: int) -> list[Any]:
        distribution = self.distributions[name]
        rng = np.random.default_rng([seed, *name.encode()])
        if isinstance(distribution, Choice):
            k = len(distribution.values)
            order = [rng.permutation(k) for _ in range(-(-n // k))]
            return [distribution.values[int(i)] for i in np.concatenate(order)[:n]]
        assert not isinstance(distribution, Unknown)
        return [distribution.draw(float(u)) for u in rng.random(n)]

    def with_constants(self, **values: Any) -> Space:
        """The same space with some hyper-parameters replaced: scalars fix, lists let vary."""
        plain = {k: _distribution(k, v) for k, v in values.items() if v is not None}
        places = {name: place for name, place in self.places.items() if name not in plain}
        return Space(self.name, self.distributions | plain, self.description, places)

    def to_dict(self) -> dict[str, Any]:
        """The space as plain values, the form of its YAML file."""
        return {
            "name": self.name,
            "description": self.description,
            "recipe": {name: d.to_plain() for name, d in self.distributions.items()},
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Space:
        """The inverse of `to_dict`."""
        unknown = [str(key) for key in plain if key not in _KEYS]
        if unknown:
            raise UsageError(f"{unknown[0]}: unknown; known are {', '.join(_KEYS)}")
        if not isinstance(plain.get("recipe"), dict):
            raise UsageError("recipe: a space needs this mapping; see docs/spaces.md")
        name, description = plain.get("name", "space"), plain.get("description", "")
        for key, value in (("name", name), ("description", description)):
            if not isinstance(value, str):
                raise UsageError(f"{key}: {value!r} is not text; put it in quotes")
        recipe = plain["recipe"].items()
        return cls(name, {key: _distribution(key, value) for key, value in recipe}, description)


def load_space(path: str | Path) -> Space:
    """Read a space from a YAML file; a mistake is reported with file, line and key.

    The file holds `name`, `description` (both optional) and `recipe`: a mapping from
    hyper-parameters to a value, a list of values or `{low, high, scale}`.
    """
    path = Path(path)
    file = PlainFile(path)
    plain, lines = file.values, file.lines
    if not isinstance(plain, dict):
        raise file.wrong(1, "a space is a mapping with the key 'recipe'; see docs/spaces.md")
    try:
        space = Space.from_dict({"name": path.stem} | plain)
    except UsageError as error:
        key = str(error).split(":", 1)[0]
        line = lines.get(("recipe", key)) or lines.get((key,)) or lines.get(("recipe",), 1)
        raise file.wrong(line, str(error)) from None
    # What a file leaves out was written nowhere; its mapping is the place to write it.
    written = {name: lines.get(("recipe", name), lines["recipe",]) for name in FIELDS}
    return replace(space, places={name: f"{path}:{line}" for name, line in written.items()})


def _distribution(key: str, plain: Any) -> Distribution:
    try:
        return from_plain(plain)
    except UsageError as error:
        raise UsageError(f"{key}: {error}") from None


def _probe(key: str, distribution: Distribution) -> None:
    """Refuse values that no recipe could hold, whatever the other hyper-parameters."""
    if isinstance(distribution, Uniform) and FIELDS[key] is not float:
        raise UsageError(f"{key}: takes a value or a list of values, not a range")
    for value in _values(distribution):
        base = _ROOMY | {"blocks": 1} if key != "blocks" else _ROOMY
        Recipe.from_dict(base | {key: value})


def _values(distribution: Distribution) -> tuple[Any, ...]:
    match distribution:
        case Choice(values):
            return values
        case Uniform(low, high):
            return (low, high)
        case Constant(value):
            return (value,)
        case Unknown():
            return ()


def _lowest(distribution: Distribution) -> Any:
    return min(_values(distribution))


def _highest(distribution: Distribution) -> Any:
    return max(_values(distribution))
