"""Settings of all tests: a busy machine is no failure, so that examples have no deadline."""

from hypothesis import settings

settings.register_profile("weightspace", deadline=None)
settings.load_profile("weightspace")
