"""The images that nets learn from: data sets as uint8 arrays with class labels.

In: the name of a set and, for all but the built-in ones, its files: the original files, one
`NAME.npz`, or a data set of the Hugging Face hub. Out: an `ImageSet`, and the functions that fit it
to a recipe: `resize`, `split` and, in `images.augmentation` (the only module here that imports
torch), `augment`. Promises: a file that is damaged, incomplete or of another kind is refused with
its name and a remedy, and sizes in its headers are checked before they are used; nothing in a file
is executed; built-in sets need no files and are the same at every call; splitting and augmenting
depend only on their arguments. This room knows no networks.
"""

from weightspace.images.imageset import ImageSet
from weightspace.images.loading import Entry, catalogue, load, training_images
from weightspace.images.resizing import resize
from weightspace.images.splitting import split

__all__ = ["Entry", "ImageSet", "catalogue", "load", "resize", "split", "training_images"]
