"""`Space`: which hyper-parameters vary and how; a space can be read from YAML."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from weightspace.errors import SITE, UsageError
from weightspace.markup import summary
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
"""Values with which every possible value of another hyper-parameter makes a valid recipe."""


@dataclass(frozen=True)
class Space:
    """A distribution of recipes in which every hyper-parameter is drawn independently.

    Parameters
    ----------
    name : str
        The name of the space.
    distributions : dict of str to Distribution
        How each field of a recipe varies (`Constant`, `Choice`, `Uniform` or `Unknown`). Fields
        left out keep the default of the recipe.
    description : str
        Free text.
    places : mapping of str to str, optional
        For error messages: where each hyper-parameter was written, as `file:line`.

    Raises
    ------
    UsageError
        If a hyper-parameter or value is not possible, or no data set is named.

    Examples
    --------
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
                known = [name for name in FIELDS if name != "seed"]
                near = difflib.get_close_matches(str(key), known, 1, 0.75)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise UsageError(
                    key, "no such hyper-parameter", f"known are {', '.join(known)}{hint}"
                )
            _probe(key, distribution)
        if "dataset" not in self.distributions:
            raise UsageError("dataset", "a space needs one", "name an image set or a list of them")
        # Only these combinations can be impossible although each value is possible: the most
        # blocks on the smallest input, and the shallowest net.
        on_record = {k: d for k, d in self.distributions.items() if not isinstance(d, Unknown)}
        low = {name: _lowest(d) for name, d in on_record.items()}
        high = {k: _highest(on_record[k]) for k in ("blocks",) if k in on_record}
        rest = len(on_record) < len(self.distributions)
        Recipe.from_dict(_ROOMY | {"blocks": 1} | low | high if rest else low | high)

    @property
    def properties(self) -> tuple[str, ...]:
        """The names of the hyper-parameters that vary, in the order of the recipe's fields.

        Those that are `Unknown` are not properties.
        """
        return tuple(
            name for name in FIELDS if isinstance(self.distributions.get(name), Choice | Uniform)
        )

    def placed(self, error: UsageError) -> UsageError:
        """Add file and line to an error that begins with the name of a hyper-parameter.

        Parameters
        ----------
        error : UsageError
            An error such as "optimizer: 'foo' is unknown".

        Returns
        -------
        UsageError
            The same error, if it is not known where the hyper-parameter was written.
        """
        place = self.places.get(error.thing)
        return error.within(place) if place else error

    def values(self, name: str) -> tuple[Any, ...]:
        """The values that a hyper-parameter can take; for a range, its two limits.

        Parameters
        ----------
        name : str
            The name of a field of the recipe.

        Returns
        -------
        tuple
        """
        if name in self.distributions:
            return _values(self.distributions[name])
        return (getattr(Recipe(dataset="any"), name),)

    def draw(self, n: int, seed: int = 0) -> list[Recipe]:
        """Draw the first recipes of the space for a seed.

        A later call with the same seed and a larger `n` gives the same recipes first. Each choice
        is stratified: among any consecutive recipes that are as many as the choice has values, from
        a multiple of that number on, each value occurs once. So levels are balanced even in a small
        draw.

        Parameters
        ----------
        n : int
            The number of recipes.
        seed : int
            A whole number from 0.

        Returns
        -------
        list of Recipe

        Raises
        ------
        UsageError
            If a hyper-parameter is unknown, or `n` or `seed` is not possible.
        """
        for name, distribution in self.distributions.items():
            if isinstance(distribution, Unknown):
                raise UsageError(name, "is unknown for these nets", "give a value")
        if n < 1:
            raise UsageError("nets", f"{n} is not a positive number of nets")
        if seed < 0:
            raise UsageError("seed", f"{seed} is negative", "take a whole number from 0")
        columns = {name: self._column(name, n, seed) for name in self.distributions}
        for name, how in self.distributions.items():
            if isinstance(how, Uniform) and how.times:
                others = columns.get(how.times[0], self.values(how.times[0]) * n)
                pairs = zip(columns[name], others, strict=True)
                columns[name] = [value * how.factor(other) for value, other in pairs]
        seeds = np.random.default_rng([seed, 0x5EED]).integers(0, 2**62, size=n)
        return [
            Recipe.from_dict({name: columns[name][i] for name in columns} | {"seed": int(seeds[i])})
            for i in range(n)
        ]

    def levels(self, recipes: Sequence[Recipe]) -> np.ndarray:
        """The level of each recipe in each property.

        Parameters
        ----------
        recipes : sequence of Recipe, length n
            Recipes, of this space or not.

        Returns
        -------
        ndarray of int64, shape (n, properties)
            Levels from 0; -1 for a value that is not in the space. A range has three levels.
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
        """The same space with some hyper-parameters replaced.

        Parameters
        ----------
        **values
            For a hyper-parameter a scalar, which fixes it, or a list, from which it is drawn.

        Returns
        -------
        Space

        Examples
        --------
        >>> Space("one", {"dataset": Constant("mnist")}).with_constants(epochs=[1, 2]).properties
        ('epochs',)
        """
        plain = {k: _distribution(k, v) for k, v in values.items() if v is not None}
        places = {name: place for name, place in self.places.items() if name not in plain}
        return Space(self.name, self.distributions | plain, self.description, places)

    def to_dict(self) -> dict[str, Any]:
        """The space as plain values, in the form of its YAML file."""
        return {
            "name": self.name,
            "description": self.description,
            "recipe": {name: d.to_plain() for name, d in self.distributions.items()},
        }

    def to_yaml(self) -> str:
        """The text of a YAML file of which `load_space` makes the same space."""
        text: str = yaml.safe_dump(
            self.to_dict(), sort_keys=False, default_flow_style=None, width=10_000
        )
        return text

    def _repr_html_(self) -> str:
        rows = [(name, _line(how.to_plain())) for name, how in self.distributions.items()]
        facts = [("properties", ", ".join(self.properties))]
        title = f"Space {self.name}"
        return summary(title, facts, ("hyper-parameter", "values"), rows, self.description)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Space:
        """Make a space from what `to_dict` returned.

        Parameters
        ----------
        plain : dict
            The keys are name, description and recipe.

        Returns
        -------
        Space

        Raises
        ------
        UsageError
            If the values are not a space.
        """
        unknown = [str(key) for key in plain if key not in _KEYS]
        if unknown:
            raise UsageError(unknown[0], "unknown", f"known are {', '.join(_KEYS)}")
        if not isinstance(plain.get("recipe"), dict):
            raise UsageError("recipe", "a space needs this mapping", f"see {SITE}spaces/")
        name, description = plain.get("name", "space"), plain.get("description", "")
        for key, value in (("name", name), ("description", description)):
            if not isinstance(value, str):
                raise UsageError(key, f"{value!r} is not text", "put it in quotes")
        recipe = plain["recipe"].items()
        return cls(name, {key: _distribution(key, value) for key, value in recipe}, description)


def _line(plain: Any) -> str:
    """Values as a space's file has them, in one line."""
    text: str = yaml.safe_dump(plain, sort_keys=False, default_flow_style=True, width=10_000)
    return text.splitlines()[0]


def load_space(path: str | Path) -> Space:
    """Read a space from a YAML file.

    The file has the keys `name`, `description` (both optional) and `recipe`. The recipe maps
    hyper-parameters to a value, a list of values or `{low, high, scale}`, in which `times` may
    multiply the number for some values of another hyper-parameter.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Space

    Raises
    ------
    UsageError
        If the file is not a space; the message names file, line and key.
    """
    path = Path(path)
    file = PlainFile(path)
    plain, lines = file.values, file.lines
    if not isinstance(plain, dict):
        raise file.wrong(1, "a space is a mapping with the key 'recipe'", f"see {SITE}spaces/")
    try:
        space = Space.from_dict({"name": path.stem} | plain)
    except UsageError as error:
        key = error.thing
        line = lines.get(("recipe", key)) or lines.get((key,)) or lines.get(("recipe",), 1)
        raise file.placed(line, error) from None
    # A hyper-parameter that the file leaves out would be written in its mapping `recipe`.
    written = {name: lines.get(("recipe", name), lines["recipe",]) for name in FIELDS}
    return replace(space, places={name: f"{path}:{line}" for name, line in written.items()})


def _distribution(key: str, plain: Any) -> Distribution:
    try:
        return from_plain(plain)
    except UsageError as error:
        raise error.within(key) from None


def _probe(key: str, distribution: Distribution) -> None:
    """Refuse values that no recipe can have, whatever its other hyper-parameters."""
    if isinstance(distribution, Uniform) and FIELDS[key] is not float:
        raise UsageError(key, "takes a value or a list of values, not a range")
    other = (
        distribution.times[0] if isinstance(distribution, Uniform) and distribution.times else ""
    )
    if other and (other not in FIELDS or other in ("seed", key)):
        raise UsageError(key, f"times {other}: no such hyper-parameter")
    for value in _values(distribution):
        base = _ROOMY | {"blocks": 1} if key != "blocks" else _ROOMY
        Recipe.from_dict(base | {key: value})


def _values(distribution: Distribution) -> tuple[Any, ...]:
    match distribution:
        case Choice(values):
            return values
        case Uniform():
            return distribution.limits
        case Constant(value):
            return (value,)
        case Unknown():
            return ()


def _lowest(distribution: Distribution) -> Any:
    return min(_values(distribution))


def _highest(distribution: Distribution) -> Any:
    return max(_values(distribution))
