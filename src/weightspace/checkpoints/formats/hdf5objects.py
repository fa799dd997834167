"""A group or a dataset of an HDF5 file, with its messages and attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from weightspace.checkpoints.formats import hdf5dense as dense
from weightspace.checkpoints.formats import hdf5messages as messages
from weightspace.checkpoints.formats.hdf5messages import Attribute

LAYOUT, _ATTRIBUTE, _ATTRIBUTES = 0x8, 0xC, 0x15


@dataclass
class Object:
    """A group or a dataset: where it is, its messages, and the members of a group."""

    address: int
    messages: list[tuple[int, int, bytes]]
    dense: Callable[[bytes, int], Iterator[bytes]] = field(repr=False)
    _attributes: dict[str, Attribute] | None = field(default=None)

    def message(self, kind: int) -> bytes | None:
        """The first message of a kind; None if there is none."""
        for found, flags, data in self.messages:
            if found == kind:
                if flags & 2:
                    raise messages.newer("shared type")
                return data
        return None

    @property
    def is_dataset(self) -> bool:
        """Whether it has values of its own."""
        return any(found == LAYOUT for found, _, _ in self.messages)

    @property
    def attributes(self) -> dict[str, Attribute]:
        """The attributes by name."""
        if self._attributes is None:
            found = [
                messages.attribute(data)
                for kind, flags, data in self.messages
                if kind == _ATTRIBUTE and not flags & 2
            ]
            if (said := self.message(_ATTRIBUTES)) is not None:
                found += [messages.attribute(data) for data in self.dense(said, dense.ATTRIBUTES)]
            self._attributes = {one.name: one for one in found}
        return self._attributes
