"""A stand-in for the hub's package."""

from __future__ import annotations

from types import SimpleNamespace


class Hub:
    """The hub's package as far as it is used; `fails` is what its next call raises."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict]] = []
        self.fails: dict[str, Exception] = {}

    def __getattr__(self, name):
        def call(**arguments):
            self.calls.append((name, arguments))
            if error := self.fails.pop(name, None):
                raise error

        return call

    def HfApi(self):
        return SimpleNamespace(
            whoami=self.whoami, create_repo=self.create_repo, upload_folder=self.upload_folder
        )
