"""Say how neural networks were trained, from their weights.

Sample populations of trained nets, keep them as a zoo, train meta-classifiers that read
hyper-parameters off the weights, and report how much, where and when each is encoded. The names
below are the public ones; each is loaded when it is first used, so that `import weightspace` is
instant.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weightspace.audit.readings import predict as predict
    from weightspace.checkpoints import inspect as inspect
    from weightspace.checkpoints import read_checkpoint as read_checkpoint
    from weightspace.cli.console import bars as bars
    from weightspace.cli.demo import demo as demo
    from weightspace.dissection import Dissection as Dissection
    from weightspace.dissection.dissect import dissect as dissect
    from weightspace.errors import DataError as DataError
    from weightspace.errors import UsageError as UsageError
    from weightspace.errors import WeightspaceError as WeightspaceError
    from weightspace.interop import add as add
    from weightspace.interop import export_zoo as export_zoo
    from weightspace.interop import import_zoo as import_zoo
    from weightspace.interop import publish as publish
    from weightspace.meta import Evaluation as Evaluation
    from weightspace.meta import Model as Model
    from weightspace.meta import Regression as Regression
    from weightspace.meta import Study as Study
    from weightspace.meta import evaluate as evaluate
    from weightspace.meta import fit as fit
    from weightspace.meta import regress as regress
    from weightspace.networks.sequential import sequential as sequential
    from weightspace.recording import Recorder as Recorder
    from weightspace.recording import merge as merge
    from weightspace.report import figures as figures
    from weightspace.report import table as table
    from weightspace.report.exploring.page import explore as explore
    from weightspace.report.exploring.widget import Explorer as Explorer
    from weightspace.report.html.page import page as page
    from weightspace.report.notebook import display as display
    from weightspace.report.notebook import displays as displays
    from weightspace.sampling import reproduce as reproduce
    from weightspace.sampling.run import estimate as estimate
    from weightspace.sampling.run import sample as sample
    from weightspace.space import Recipe as Recipe
    from weightspace.space import Space as Space
    from weightspace.space import load_space as load_space
    from weightspace.space import preset as preset
    from weightspace.zoo import SliceDataset as SliceDataset
    from weightspace.zoo import Zoo as Zoo
    from weightspace.zoo import write_index as write_index
    from weightspace.zoo.care.check import check as check
    from weightspace.zoo.care.repair import repair as repair

_HOMES = {
    "audit.readings": ("predict",),
    "checkpoints": ("inspect", "read_checkpoint"),
    "cli.console": ("bars",),
    "cli.demo": ("demo",),
    "dissection": ("Dissection", "dissect"),
    "errors": ("DataError", "UsageError", "WeightspaceError"),
    "interop": ("add", "export_zoo", "import_zoo", "publish"),
    "meta": ("Evaluation", "Model", "Regression", "Study", "evaluate", "fit", "regress"),
    "networks.sequential": ("sequential",),
    "recording": ("Recorder", "merge"),
    "report": ("Explorer", "display", "displays", "explore", "figures", "page", "table"),
    "sampling": ("estimate", "reproduce", "sample"),
    "space": ("Recipe", "Space", "load_space", "preset"),
    "zoo": ("SliceDataset", "Zoo", "check", "repair", "write_index"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"weightspace.{_HOME[name]}"), name)
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("weightspace")
    raise AttributeError(f"module 'weightspace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
