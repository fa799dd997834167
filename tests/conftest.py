"""Settings of all tests."""

import signal

from hypothesis import settings

# A busy machine is no failure, so examples have no deadline.
settings.register_profile("weightspace", deadline=None)
settings.load_profile("weightspace")

# What a shell starts in its background is deaf to Ctrl-C, and so are its children; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
