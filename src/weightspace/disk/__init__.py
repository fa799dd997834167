"""The only module that opens files: what happens in a folder that a user named stays in it.

In: an `InnerPath`, which is a folder that a user named and the path from there, or the path of a
file that a user named. Out: bytes of regular files up to a given size; files that are written
completely or not at all; folders from which only the package's own files are removed.

Folders, models and exports may come from strangers, and a link in them may lead anywhere. So every
folder on the path is opened without following links, and everything happens in the opened folder:
replacing a name in the meantime changes nothing. Reading follows a link to a regular file, because
the caches of download tools contain such links; writing, renaming and deleting never follow one. No
other room opens, renames or deletes files; `tests/disk/test_one_door.py` checks this. The reasons
are in docs/security.md.
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
from weightspace.disk.links import is_link, without_links
from weightspace.disk.paths import InnerPath, inner_of, stays_inside, user_cache
from weightspace.disk.private import private_folder
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
    "is_link",
    "is_temporary",
    "make_folder",
    "make_root",
    "names",
    "open_descriptor",
    "open_file",
    "private_folder",
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
    "user_cache",
    "walk",
    "whole_folder",
    "without_links",
    "write_file",
]
