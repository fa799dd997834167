"""What may vary: spaces of training recipes.

In: a preset's name, a YAML file or Python values. Out: `Recipe` objects, each one complete
training run, immutable and JSON both ways. Promises: drawing is a pure function of the space,
the seed and the index, so the first n recipes of a larger draw are the recipes of a draw of n;
a space that cannot be drawn from is refused when it is made, by key and line. Knows neither
torch nor the disk beyond the YAML file it is given.
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
