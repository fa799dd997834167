"""The Space: the same page as `weightspace app`, with limits for a small machine."""

from weightspace.app.limits import MEGABYTE, Limits
from weightspace.app.serving import serve

LIMITS = Limits(upload=200 * MEGABYTE, stored=2_000 * MEGABYTE, seconds=300.0, at_once=2)

if __name__ == "__main__":
    serve(host=None, port=None, limits=LIMITS)  # the Space's environment says where
