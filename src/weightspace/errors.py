"""The exceptions that a user can cause, and the form of their messages."""

from __future__ import annotations

from typing import Self

SITE = "https://weightspace.github.io/weightspace/"
"""The documentation, as messages name it: an installed package has no folder `docs`."""


class WeightspaceError(Exception):
    """An error that the caller can correct.

    The message is one line, "thing: cause; remedy". The command line prints it without a traceback
    and exits with status 2. A remedy that names an argument of Python writes it as `name=` or
    `name=value` in backticks, which the command line shows as its own option.

    Parameters
    ----------
    thing : object
        The file, argument, net or snapshot that the error is about, as `str` shows it. "" if the
        caller knows it; see `within`.
    cause : object
        What is wrong with it.
    remedy : str
        What to do. "" if the cause says it.

    Attributes
    ----------
    thing, cause, remedy : str
        The parts of the message.

    Examples
    --------
    >>> from weightspace import preset
    >>> try:
    ...     preset("unheard-of")
    ... except WeightspaceError as error:
    ...     print(error)  # doctest: +ELLIPSIS
    ...     print(error.thing)
    unheard-of: no such space; presets are demo, ...
    unheard-of
    """

    def __init__(self, thing: object, cause: object, remedy: str = "") -> None:
        self.thing, self.cause, self.remedy = str(thing), str(cause), remedy
        super().__init__(self.thing, self.cause, remedy)  # pickled for another process

    def __str__(self) -> str:
        said = ": ".join(part for part in (self.thing, self.cause) if part)
        return f"{said}; {self.remedy}" if self.remedy else said

    def but(self, *, thing: object = None, cause: object = None, remedy: str | None = None) -> Self:
        """Make the same error with other parts.

        Parameters
        ----------
        thing, cause, remedy : object, optional
            What to replace. None keeps what the error has.

        Returns
        -------
        WeightspaceError
            A new error of the same class.
        """
        return type(self)(
            self.thing if thing is None else thing,
            self.cause if cause is None else cause,
            self.remedy if remedy is None else remedy,
        )

    def within(self, place: object) -> Self:
        """Make the same error about a thing that is in a larger one.

        Parameters
        ----------
        place : object
            The larger thing, such as the file in which a hyper-parameter is written.

        Returns
        -------
        WeightspaceError
            A new error of the same class: "place: thing: cause; remedy".
        """
        cause = ": ".join(part for part in (self.thing, self.cause) if part)
        return self.but(thing=place, cause=cause)


class UsageError(WeightspaceError):
    """An argument, a space, or a combination of arguments that cannot work."""


class DataError(WeightspaceError):
    """A file or a set of files that is missing, damaged, or not of the expected kind."""
