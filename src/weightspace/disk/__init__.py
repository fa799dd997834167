"""The one door to the disk: what is read, written and deleted inside a folder stays inside it.

In: an `InnerPath`, which is a folder that a user named and the way from there, or the path of a
file that a user named. Out: bytes of regular files, of a size that was capped; files that appear
whole or not at all; folders emptied of what was written there and of nothing else.

Folders, models and exports come from strangers, and a link in them may lead anywhere. So every
folder on the way is opened without following links, and what is done is done in the folder that was
opened: swapping a name in between changes nothing. Reading follows a link of a file, as the caches
of download tools have them, to a regular file; writing, renaming and deleting never follow one. No
other room opens, renames or deletes: `tests/test_disk_door.py` holds that. Why, and against whom,
stands in docs/security.md.
"""

from weightspace.disk.errors import explained
from weightspace.disk.folders import (
    Folder,
    exists,
    is_file,
    is_folder,
    make_folder,
    make_root,
    names,
    remove,
    remove_empty,
    remove_tree,
    rename,
    sync_folder,
    walk,
)
from weightspace.disk.leftovers import (
    held_by_leftovers,
    is_being_written,
    is_temporary,
    remove_leftovers,
    temporaries,
)
from weightspace.disk.paths import InnerPath, inner_of, stays_inside
from weightspace.disk.reading import open_descriptor, open_file, read_bytes, read_text, size
from weightspace.disk.temporary import Temporary, adopt, put, replace_all, write_file
from weightspace.disk.whole import alone_in, whole_folder

__all__ = [
    "Folder",
    "InnerPath",
    "Temporary",
    "adopt",
    "alone_in",
    "exists",
    "explained",
    "held_by_leftovers",
    "inner_of",
    "is_being_written",
    "is_file",
    "is_folder",
    "is_temporary",
    "make_folder",
    "make_root",
    "names",
    "open_descriptor",
    "open_file",
    "put",
    "read_bytes",
    "read_text",
    "remove",
    "remove_empty",
    "remove_leftovers",
    "remove_tree",
    "rename",
    "replace_all",
    "size",
    "stays_inside",
    "sync_folder",
    "temporaries",
    "walk",
    "whole_folder",
    "write_file",
]
