"""Spaces of training recipes: which hyper-parameters vary, and how.

In: a preset's name, a YAML file or Python values. Out: `Recipe` objects; each describes one
complete training run, cannot change, and converts to JSON and back. Promises: a draw depends only
on the space, the seed and the index, so the first n recipes of a larger draw are the recipes of a
draw of n; a space from which nothing can be drawn is refused when it is made, with its key and
line. This room needs no torch, and reads no file but the YAML file that it is given.
"""

from weightspace.space.distributions import THIRDS, Choice, Constant, Distribution, Uniform, Unknown
from weightspace.space.presets import PRESETS, preset
from weightspace.space.recipe import Recipe
from weightspace.space.space import Space, load_space

__all__ = [
    "PRESETS",
    "THIRDS",
    "Choice",
    "Constant",
    "Distribution",
    "Recipe",
    "Space",
    "Uniform",
    "Unknown",
    "load_space",
    "preset",
]
