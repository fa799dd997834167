"""How long work tells its caller where it stands, without knowing who listens."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")
Progress = Callable[[str, float, float], None]
"""Called as `progress(task, done, total)`; `task` is a short phrase, the same for one bar."""


def silent(task: str, done: float, total: float) -> None:
    """Listen to nothing: the default where nobody watches."""


def foresee(progress: Progress, task: str, left: float, whole: float) -> None:
    """Tell a listener how long a task is expected to take, if it has a method for that.

    Parameters
    ----------
    progress
        One with a method `foresee(task, left, whole)` is told; another hears nothing of it.
    task
        As it is called in `progress(task, done, total)`; foretold before each of these calls.
    left
        Seconds expected from here to the end.
    whole
        Seconds expected for all that this run does of the task: less than all of the task where
        an earlier run did a part.
    """
    told = getattr(progress, "foresee", None)
    if told is not None:
        told(task, left, whole)


def each(items: Sequence[_T], progress: Progress, task: str) -> Iterator[_T]:
    """The items, one by one; the listener is told of each when the next is asked for.

    >>> list(each("ab", lambda *told: print(*told), "letters"))
    letters 1 2
    letters 2 2
    ['a', 'b']
    """
    for number, item in enumerate(items, 1):
        yield item
        progress(task, number, len(items))


class Together:
    """One bar for equal pieces of work that run side by side, each counting from 1 to its own end.

    A listener for all of them: a piece runs in one thread, and a thread's pieces follow each other.
    """

    def __init__(self, listener: Progress, task: str, pieces: int) -> None:
        self._listener, self._task, self._pieces = listener, task, pieces
        self._lock = threading.Lock()
        self._last: dict[int, float] = {}
        self._done = 0.0

    def __call__(self, task: str, done: float, total: float) -> None:
        """Add what the calling thread's piece has done since it was last heard of."""
        with self._lock:
            last = self._last.get(threading.get_ident(), 0.0)
            self._done += done - last if done > last else done
            self._last[threading.get_ident()] = done
            self._listener(self._task, self._done, total * self._pieces)
