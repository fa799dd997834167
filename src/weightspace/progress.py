"""How long work tells its caller where it stands, without knowing who listens."""

from collections.abc import Callable

Progress = Callable[[str, float, float], None]
"""Called as `progress(task, done, total)`; `task` is a short phrase, the same for one bar."""


def silent(task: str, done: float, total: float) -> None:
    """Listen to nothing: the default where nobody watches."""
