"""`Explorer`: the explorer of a zoo as a widget of a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from weightspace.errors import UsageError
from weightspace.meta import Model
from weightspace.progress import Progress, silent
from weightspace.report.exploring.page import explorer_page
from weightspace.report.html.assets import own
from weightspace.zoo import Zoo, opened

_PACKAGE = "weightspace.report.exploring"


class Explorer:
    """The explorer of a zoo in a notebook, with the selection as a list in Python.

    It shows the page that `explore` writes, and needs the package anywidget
    (`pip install "weightspace[notebook]"`).

    Parameters
    ----------
    zoo : Zoo, str or Path
        The zoo, or where it lies.
    model : Model, str or Path, optional
        A model, or its folder.
    most_nets : int
        As for `explore`.
    seed : int
        As for `explore`.
    height : int
        The height of the widget in pixels.
    progress : callable
        Called with a task, how much is done, and the total.

    Attributes
    ----------
    zoo : Zoo
        The zoo.
    widget : anywidget.AnyWidget
        The widget, for layouts of ipywidgets. Its trait `selected` can be observed.

    Raises
    ------
    UsageError
        If anywidget is not installed, and as `explore` raises it.
    DataError
        If the zoo or the model cannot be read.

    Examples
    --------
    >>> import weightspace as ws
    >>> explorer = ws.Explorer("my-zoo", model="my-model")  # doctest: +SKIP
    >>> explorer  # the last line of a cell shows it  # doctest: +SKIP
    >>> explorer.selected  # after a lasso  # doctest: +SKIP
    ['23fc5610c07cc960', '7ef573d4593b1938']
    """

    def __init__(
        self,
        zoo: Zoo | str | Path,
        model: Model | str | Path | None = None,
        *,
        most_nets: int = 10_000,
        seed: int = 0,
        height: int = 900,
        progress: Progress = silent,
    ) -> None:
        made = _widget()
        self.zoo = opened(zoo)
        page = explorer_page(self.zoo, model, most_nets=most_nets, seed=seed, progress=progress)
        self.widget = made(page=page, height=height)

    @property
    def selected(self) -> list[str]:
        """The names of the selected nets that fit the filters; set it to select others."""
        return list(self.widget.selected)

    @selected.setter
    def selected(self, nets: Sequence[str]) -> None:
        self.widget.selected = list(nets)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)


def _widget() -> Any:
    """The class of the widget; UsageError where anywidget is not installed."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        raise UsageError(
            "Explorer", "anywidget is not installed", 'pip install "weightspace[notebook]"'
        ) from None

    class Widget(anywidget.AnyWidget):  # type: ignore[misc]
        """The page in a frame, which tells the selection and is told it."""

        _esm = own("explore-widget.js", _PACKAGE)
        page = traitlets.Unicode().tag(sync=True)
        height = traitlets.Int().tag(sync=True)
        selected = traitlets.List(traitlets.Unicode()).tag(sync=True)

    return Widget
