"""Dissect the weight space of neural networks.

Sample populations of trained nets, keep them as a zoo, train meta-classifiers that read
hyper-parameters off the weights, and report how much, where and when each is encoded. The names
below are the public ones; each is loaded when it is first used, so that `import weightspace` is
instant.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weightspace.checkpoints import predict, read_checkpoint
    from weightspace.cli.console import bars
    from weightspace.cli.demo import demo
    from weightspace.dissection import Dissection
    from weightspace.dissection.dissect import dissect
    from weightspace.errors import DataError, UsageError, WeightspaceError
    from weightspace.interop import add, export_zoo, import_zoo, publish
    from weightspace.meta import Evaluation, Model, evaluate, fit
    from weightspace.networks.sequential import sequential
    from weightspace.report import figures, table
    from weightspace.report.page.page import page
    from weightspace.sampling import reproduce
    from weightspace.sampling.run import estimate, sample
    from weightspace.space import Recipe, Space, load_space, preset
    from weightspace.zoo import Zoo
    from weightspace.zoo.care.check import check
    from weightspace.zoo.care.merge import merge

_HOMES = {
    "checkpoints": ("predict", "read_checkpoint"),
    "cli.console": ("bars",),
    "cli.demo": ("demo",),
    "dissection": ("Dissection", "dissect"),
    "interop": ("add", "export_zoo", "import_zoo", "publish"),
    "errors": ("DataError", "UsageError", "WeightspaceError"),
    "meta": ("Evaluation", "Model", "evaluate", "fit"),
    "networks.sequential": ("sequential",),
    "report": ("figures", "page", "table"),
    "sampling": ("estimate", "reproduce", "sample"),
    "space": ("Recipe", "Space", "load_space", "preset"),
    "zoo": ("Zoo", "check", "merge"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "DataError",
    "Dissection",
    "Evaluation",
    "Model",
    "Recipe",
    "Space",
    "UsageError",
    "WeightspaceError",
    "Zoo",
    "add",
    "bars",
    "check",
    "demo",
    "dissect",
    "estimate",
    "evaluate",
    "export_zoo",
    "figures",
    "fit",
    "import_zoo",
    "load_space",
    "merge",
    "page",
    "predict",
    "preset",
    "publish",
    "read_checkpoint",
    "reproduce",
    "sample",
    "sequential",
    "table",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"weightspace.{_HOME[name]}"), name)
    raise AttributeError(f"module 'weightspace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
