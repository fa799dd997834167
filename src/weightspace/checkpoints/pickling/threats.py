"""What a name in a pickle would do if somebody unpickled the file: data, code, or harm."""

from __future__ import annotations

_HARM_MODULES = frozenset(
    [
        "os",
        "posix",
        "nt",
        "subprocess",
        "sys",
        "pty",
        "runpy",
        "socket",
        "shutil",
        "ctypes",
        "_ctypes",
        "importlib",
        "imp",
        "pkgutil",
        "webbrowser",
        "urllib",
        "requests",
        "http",
        "ftplib",
        "smtplib",
        "telnetlib",
        "code",
        "codeop",
        "timeit",
        "profile",
        "cProfile",
        "trace",
        "pdb",
        "bdb",
        "doctest",
        "multiprocessing",
        "_posixsubprocess",
        "asyncio",
        "signal",
        "platform",
        "commands",
        "popen2",
        "pip",
        "setuptools",
        "distutils",
        "marshal",
        "shelve",
        "sqlite3",
        "idlelib",
        "uuid._popen",
        "test",
    ]
)
_HARM_NAMES = frozenset(
    {f"builtins.{name}" for name in (
        "eval", "exec", "compile", "open", "__import__", "getattr", "setattr", "delattr", "globals",
        "locals", "vars", "input", "breakpoint", "execfile", "apply", "map", "filter", "exit",
    )}
    | {"operator.attrgetter", "operator.methodcaller", "operator.itemgetter", "types.CodeType"}
    | {"types.FunctionType", "torch.load", "torch.hub.load", "pickle.loads", "pickle.load"}
    | {"io.open", "_io.open", "_io.open_code", "_io.FileIO", "io.FileIO", "pathlib.Path.touch"}
    | {"_pickle.loads", "_pickle.load", "dill._dill._load_type", "cloudpickle.cloudpickle.loads"}
    | {"torch.jit.unsupported_tensor_ops.execWrapper", "numpy.testing._private.utils.runstring"}
    | {"torch._dynamo.guards.GuardBuilder.get", "torch.utils._config_module.load_config"}
    | {"functools.reduce", "logging.config.listen", "linecache.getline", "ensurepip._run_pip"}
)  # fmt: skip
_DATA_MODULES = (
    "argparse.Namespace", "builtins.", "collections.", "copyreg.", "datetime.", "decimal.", "enum.",
    "fractions.", "numpy.", "omegaconf.", "pathlib.", "torch.", "types.SimpleNamespace",
    "typing.", "uuid.UUID", "_codecs.encode", "random.Random", "functools.partial", "easydict.",
    "yacs.config.CfgNode", "addict.", "transformers.", "pytorch_lightning.", "lightning.",
    "lightning_fabric.", "ml_collections.", "__torch__.",
)  # fmt: skip


def threat(name: str) -> str:
    """What a name stands for: "hostile", "code", or "" for names that only hold data.

    Parameters
    ----------
    name : str
        A full name, such as "posix.system".

    Returns
    -------
    str
        "hostile" for what runs commands, opens files or finds other functions; "code" for a class
        or function of a program that is not known here; "" for usual classes that hold data.

    Notes
    -----
    A list of harmful names is never complete. Nothing is called whatever the answer is.

    Examples
    --------
    >>> threat("posix.system"), threat("__main__.Net"), threat("argparse.Namespace")
    ('hostile', 'code', '')
    """
    module = name.partition(".")[0]
    if name in _HARM_NAMES or module in _HARM_MODULES:
        return "hostile"
    return "" if name.startswith(_DATA_MODULES) else "code"
