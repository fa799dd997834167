"""What nets learn from: image data sets as uint8 arrays with class labels.

In: the name of a set and, for all but the built-in ones, its files: the originals as published,
one `NAME.npz`, or a data set of the Hugging Face hub. Out: an `ImageSet`, and the tools that fit
it to a recipe: `resize`, `split` and, in `images.augmentation` (the one module here that imports
torch), `augment`. Promises: a damaged, incomplete or foreign file is refused by name with the
remedy, and never believed beyond its size; nothing in a file is executed; built-in sets need no
file and are the same at every call; splitting and augmenting are pure functions of their
arguments. Knows no networks.
"""

from weightspace.images.imageset import ImageSet
from weightspace.images.loading import Entry, catalogue, load, training_images
from weightspace.images.resizing import resize
from weightspace.images.splitting import split

__all__ = ["Entry", "ImageSet", "catalogue", "load", "resize", "split", "training_images"]
