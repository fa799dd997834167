"""Build the native libraries, once for each width of vectors; all else is in pyproject.toml.

They are optional: without a C++ compiler the package installs, and computes with torch and NumPy.
"""

import copy
import platform
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = {
    "weightspace.networks.native": "step.cpp",
    "weightspace.features.native": "features.cpp",
}
FLAGS = ["-std=c++17", "-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"]
# Features are of finite values, and sums may be taken in any order; training keeps its bits.
LOOSE = ["-fassociative-math", "-freciprocal-math", "-fno-signed-zeros", "-ffinite-math-only"]
LEVELS = {  # as `ws_level` in step.cpp counts them: the x86-64 levels of the psABI
    "_v2": ["-march=x86-64-v2"],
    "_v3": ["-march=x86-64-v3"],
    "_v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}


def builds() -> dict[str, list[str]]:
    """Names and flags of the builds for the machine at hand."""
    if platform.machine().lower() in ("x86_64", "amd64"):
        return LEVELS
    return {"_v2": []}  # one build, with the vectors that every such processor has


class BuildApart(build_ext):
    """Objects of each build in a folder of its own.

    All have the same source, and so the same name: built side by side, one was linked from what
    another had half written.
    """

    def build_extension(self, ext: Extension) -> None:
        """Build one, with a copy of this command whose folder no other thread changes."""
        own = copy.copy(self)
        own.build_temp = str(Path(self.build_temp, ext.name))
        build_ext.build_extension(own, ext)


def extension(package: str, source: str, name: str, flags: list[str]) -> Extension:
    """One build of a library."""
    folder = Path("src", *package.split("."))
    own = LOOSE if package == "weightspace.features.native" else []
    headers = [*folder.glob("*.h"), Path("src/weightspace/native.h")]
    return Extension(
        f"{package}.{name}",
        sources=[str(folder / source)],
        include_dirs=["src"],
        depends=[str(path) for path in sorted(headers)],
        extra_compile_args=[*FLAGS, *own, *flags],
        py_limited_api=True,
        optional=True,
    )


setup(
    cmdclass={"build_ext": BuildApart},
    ext_modules=[
        extension(package, source, name, flags)
        for package, source in SOURCES.items()
        for name, flags in builds().items()
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}, "build_ext": {"parallel": 3}},
)
