"""Ways in and out of a zoo: the forms in which others keep populations of trained nets.

In: the NWS data set's release, the Small CNN Zoo, Model Zoos' trial folders, folders of checkpoints
with a table of what is known about them; or a zoo. Out: a zoo, in which unknown stays unknown; or
folders in these forms, torch state dicts, a data set repository with its card. Promises: nothing in
a file from outside is executed, no path in it leads out of its folder, and no value changes on the
way unless that was asked for; what cannot be read is refused by file, net and remedy; nothing that
is there is overwritten, and an export is there whole or not at all.
"""

from weightspace.interop.exporting import Exported, export_zoo
from weightspace.interop.importing import import_zoo
from weightspace.interop.known import add
from weightspace.interop.publishing import Published, publish

__all__ = ["Exported", "Published", "add", "export_zoo", "import_zoo", "publish"]
