"""Settings of all tests."""

import os
import signal
from pathlib import Path

from hypothesis import settings

# A busy machine is no failure, so examples have no deadline.
settings.register_profile("weightspace", deadline=None)
settings.load_profile("weightspace")

# What a shell starts in its background is deaf to Ctrl-C, and so are its children; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Processes that tests start find `support` as the tests do.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH")))
)
