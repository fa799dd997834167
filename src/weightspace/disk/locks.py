"""Advisory locks, which tell a file that is being written from one that a killed writer left."""

from __future__ import annotations


def lock(descriptor: int, exclusive: bool = True) -> bool | None:
    """Lock without waiting; False if another process holds the lock, None without locks."""
    import fcntl  # does not exist on every platform; reading a zoo does not need it

    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
