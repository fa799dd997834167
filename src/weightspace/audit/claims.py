"""`Claims`: what is said about how a net was trained, spelled as recipes spell it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from weightspace.audit import spelling
from weightspace.audit.values import checked, expanded
from weightspace.errors import UsageError
from weightspace.evidence.record import Value
from weightspace.printable import printable

_LONGEST = 200  # characters of the text of an unknown claim
_LINEAR = ("sgd", "momentum", "nesterov")


@dataclass(frozen=True)
class Claim:
    """One thing that is said of a net.

    Attributes
    ----------
    name : str
        The hyper-parameter, such as "optimizer"; the key as it was given if it is not known.
    value : str, int, float or bool
        Its value, spelled as recipes spell it.
    said : str
        The value as it was given.
    place : str
        Where it was given: file and line, or "" for an argument.
    known : bool
        Whether there is a claim of that name.
    """

    name: str
    value: Value
    said: str = ""
    place: str = ""
    known: bool = True


@dataclass(frozen=True)
class Claims:
    """All that is said of a net.

    Parameters
    ----------
    claims : tuple of Claim
        At most one of a name.

    Examples
    --------
    >>> claims = Claims.of({"optimizer": "SGD(momentum=0.9)", "lr": 0.1})
    >>> claims.values
    {'optimizer': 'momentum', 'learning_rate': 0.1, 'momentum': 0.9}
    """

    claims: tuple[Claim, ...] = ()
    values: Mapping[str, Value] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        known = {one.name: one.value for one in self.claims if one.known}
        object.__setattr__(self, "values", known)

    def __iter__(self) -> Iterator[Claim]:
        return iter(self.claims)

    def __len__(self) -> int:
        return len(self.claims)

    def get(self, name: str) -> Value | None:
        """Look up what is claimed of a hyper-parameter.

        Parameters
        ----------
        name : str
            The hyper-parameter.

        Returns
        -------
        str, int, float, bool or None
            The value; None if nothing is claimed of it.
        """
        return self.values.get(name)

    def covered(self, claim: Claim) -> tuple[Value, ...]:
        """List the values of recipes that a claim allows.

        Who says "SGD" and nothing of momentum may have used any; `momentum: 0` says that there was
        none.

        Parameters
        ----------
        claim : Claim
            One of these claims.

        Returns
        -------
        tuple of str, int, float or bool
        """
        if claim.name == "optimizer" and claim.value == "sgd" and "momentum" not in self.values:
            return _LINEAR
        return (claim.value,)

    @classmethod
    def of(cls, entries: Mapping[str, Any]) -> Claims:
        """Claims from plain values.

        Parameters
        ----------
        entries : dict
            Hyper-parameters and their values, in any usual spelling.

        Returns
        -------
        Claims

        Raises
        ------
        UsageError
            If a value is not possible, or two keys mean the same hyper-parameter.
        """
        return gathered((str(key), value, "") for key, value in entries.items())

    def over(self, others: Claims) -> Claims:
        """Join these claims with those of others that these say nothing of.

        Parameters
        ----------
        others : Claims
            The others.

        Returns
        -------
        Claims
        """
        names = {one.name for one in self.claims}
        return settled((*self.claims, *(one for one in others.claims if one.name not in names)))


def gathered(entries: Iterable[tuple[str, Any, str]]) -> Claims:
    """Claims from (key, value, place); UsageError if a value is not possible, or given twice."""
    found: dict[str, Claim] = {}
    implied: dict[str, Claim] = {}
    for key, value, place in entries:
        name = spelling.key(key)
        if name is None:
            _put(found, _unknown(key, value, place), key)
            continue
        if value is None:
            continue
        try:
            said = expanded(name, value)
            read = [Claim(one, checked(one, v), _text(v), place) for one, v in said.items()]
        except UsageError as error:
            raise (error.within(place) if place else error) from None
        for claim in read:
            if claim.name == name:
                _put(found, claim, key)
            else:
                implied.setdefault(claim.name, claim)
    return settled((*found.values(), *(implied[k] for k in implied if k not in found)))


def _put(found: dict[str, Claim], claim: Claim, key: str) -> None:
    if claim.name in found and found[claim.name].value != claim.value:
        before = found[claim.name]
        there = f" in {before.place}" if before.place and before.place != claim.place else ""
        error = UsageError(
            printable(key, 80), f"another value is already given{there}", "leave one of them out"
        )
        raise error.within(claim.place) if claim.place else error
    found.setdefault(claim.name, claim)


def settled(claims: tuple[Claim, ...]) -> Claims:
    """The claims; SGD is called by its name in recipes where a momentum is claimed beside it."""
    momentum = next((one.value for one in claims if one.known and one.name == "momentum"), 0)
    if not momentum:
        return Claims(claims)
    return Claims(
        tuple(
            replace(one, value="momentum")
            if one.name == "optimizer" and one.value == "sgd"
            else one
            for one in claims
        )
    )


def _unknown(key: str, value: Any, place: str) -> Claim:
    return Claim(printable(key.strip(), 80), _text(value), _text(value), place, known=False)


def _text(value: Any) -> str:
    return printable(value, _LONGEST)
