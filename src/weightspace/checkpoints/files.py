"""From a file of unknown origin to the tensors of its net, without executing anything in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from weightspace.checkpoints.companions import with_companions
from weightspace.checkpoints.contents import Contents, Opened
from weightspace.checkpoints.folders import chosen, with_facts
from weightspace.checkpoints.formats.shards import with_shard
from weightspace.checkpoints.formats.strangers import stranger
from weightspace.checkpoints.formats.table import FORMS
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.remote import Place, opened, remote
from weightspace.checkpoints.selection.computed import with_computed
from weightspace.checkpoints.selection.names import (
    without_averages,
    without_prefix,
    without_prefixes,
)
from weightspace.checkpoints.selection.states import StateDict, beside, choose, state_dicts
from weightspace.checkpoints.tensors import Tensor, Values, size_of
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.networks.roles import Note

_MOST_VALUES = 4  # values for each byte of the file: tensors may share some values
_HEAD = 4096


@dataclass(frozen=True)
class Stored:
    """The net in a file.

    Attributes
    ----------
    contents : Contents
        All that the file holds.
    chosen : StateDict
        The state dict of the net, as stored.
    others : tuple of StateDict
        The others in the file.
    tensors : dict of str to Tensor
        The tensors of the net: without wrappers' prefixes and averages, with computed kernels.
    beside : tuple of Note
        Everything else, with the reason why it is not used.
    """

    contents: Contents
    chosen: StateDict
    others: tuple[StateDict, ...]
    tensors: dict[str, Tensor]
    beside: tuple[Note, ...] = ()

    @property
    def form(self) -> str:
        """The form of the file."""
        return self.contents.form

    @property
    def values(self) -> Values:
        """Reads the tensors."""
        return self.contents.values

    @property
    def classes(self) -> dict[str, str]:
        """The class of each module by its name, without packages; empty for a state dict."""
        return {
            without_prefix(name): kind.rpartition(".")[2]
            for name, kind in self.chosen.modules.items()
        }

    @property
    def ordered(self) -> bool:
        """Whether the order of the tensors is that in which the net registered them."""
        return self.contents.ordered


@contextmanager
def read_file(place: Path | InnerPath, key: str | None = None) -> Iterator[Stored]:
    """The net in a file of any known form; the content decides which it is.

    `key` names one of several state dicts. The file is open within the block, so that only needed
    values are read. A folder, such as a model of Hugging Face, means one of its files. Raises
    DataError, also within the block.
    """
    with read_contents(place) as (contents, size):
        yield net_in(contents, size, key)


@contextmanager
def read_contents(
    place: Path | InnerPath, *, beside: bool = False
) -> Iterator[tuple[Contents, int]]:
    """What a file holds, and its bytes, unpacked; see `read_file`. A path may be a URL.

    `beside` says that in a folder on this machine, files of the training are read as well, such as
    that of the optimizer.
    """
    found: Place = place
    try:
        found = remote(place) or place
        found, facts = chosen(found)
        with ExitStack() as closing:
            file = closing.enter_context(opened(found))
            if not (size := size_of(file)):
                raise Refusal("empty", "copy or download the file again")
            file.seek(0)
            one = Opened(file, found, size, file.read(_HEAD), closing)
            form = next((form for form in FORMS if form.fits(one)), None)
            if form is None:
                raise stranger(one)
            contents = with_facts(with_shard(form.read(one), found.name), facts)
            if beside and "file" in facts and isinstance(found, InnerPath):
                contents = with_companions(contents, found.parent, closing)
            yield contents, max(size, contents.nbytes)
    except Refusal as refusal:
        raise DataError(found, refusal.cause, refusal.remedy) from None
    except FileNotFoundError:
        raise DataError(found, "no such file") from None
    except OSError as error:
        raise DataError(found, f"cannot be read ({error.strerror or error})") from None


def net_in(contents: Contents, size: int, key: str | None) -> Stored:
    """The net in what a file of `size` bytes holds."""
    found = state_dicts(contents.content)
    chosen = choose(found, key)
    tensors, averages = without_averages(without_prefixes(chosen.tensors))
    computed, factors = with_computed(tensors, contents.values)
    claimed = sum(tensor.size for tensor in computed.values())
    if claimed > _MOST_VALUES * size:
        raise Refusal(
            f"claims {claimed:,} values in {size:,} bytes", "fetch it again from its source"
        )
    others = tuple(one for one in found if one is not chosen)
    notes = (*beside(contents.content, chosen), *chosen.beside, *averages, *factors)
    return Stored(contents, chosen, others, computed, (*notes, *contents.notes))
