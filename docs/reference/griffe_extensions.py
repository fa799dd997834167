"""What griffe, which reads the source and runs no code, has to be told about this package.

`_called_with(Class)` in weightspace/sampling/run.py gives a function the fields of a dataclass as
its arguments. And where a docstring describes several parameters in one entry, griffe shows all of
them with the type and the default of the first or the last.
"""

import re

import griffe

_SHARED = re.compile(r"^(\w+(?:, \w+)+)( : .+)?\n((?: {4}.*\n?)+)", re.MULTILINE)


class OneByOne(griffe.Extension):
    """Gives each parameter its own entry in the docstring."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Split the shared entries."""
        if obj.docstring:
            obj.docstring.value = _SHARED.sub(
                lambda entry: "".join(
                    f"{name}{entry[2] or ''}\n{entry[3]}" for name in entry[1].split(", ")
                ),
                obj.docstring.value,
            )


class CalledWith(griffe.Extension):
    """Gives the decorated functions their arguments."""

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        """Replace the parameters of the functions in `weightspace.sampling.run`."""
        run = pkg["sampling.run"]
        for function in run.functions.values():
            for decorator in function.decorators:
                name, _, argument = str(decorator.value).partition("(")
                if name == "_called_with":
                    function.parameters = griffe.Parameters(*_arguments(run[argument.rstrip(")")]))


def _arguments(dataclass: griffe.Class) -> list[griffe.Parameter]:
    """The fields of the dataclass, inherited ones first."""
    found: list[griffe.Parameter] = []
    for field in dataclass.attributes.values():
        if field.has_labels("property"):
            continue
        positional = str(field.value) == "field(kw_only=False)"
        kind = "positional_or_keyword" if positional else "keyword_only"
        found.append(
            griffe.Parameter(
                field.name,
                annotation=field.annotation,
                kind=griffe.ParameterKind[kind],
                default=None if positional else field.value,
            )
        )
    return found
