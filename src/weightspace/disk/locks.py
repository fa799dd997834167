"""Advisory locks, by which a file in the making is told from one that a killed writer left."""

from __future__ import annotations


def lock(descriptor: int, exclusive: bool = True) -> bool | None:
    """Lock without waiting; False when another holds it, None where there are no locks."""
    import fcntl  # not on every platform, and reading a zoo does without

    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
