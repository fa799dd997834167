"""`audit`: facts, evidence and verdicts on what is claimed of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightspace.audit.cards import read_claims
from weightspace.audit.claims import Claim, Claims
from weightspace.audit.facts import facts_of
from weightspace.audit.findings import Finding, findings_of
from weightspace.audit.rules import derived_from
from weightspace.audit.rules.counting import JOINT
from weightspace.audit.tempering import of_steps, of_this_training, of_values
from weightspace.audit.verdicts import Derived, Verdict, judged, plain
from weightspace.checkpoints import Checkpoint, Inspection
from weightspace.checkpoints.opening import open_net
from weightspace.disk import InnerPath
from weightspace.errors import UsageError
from weightspace.evidence import Context, Evidence, examine, of_checkpoint
from weightspace.evidence.context import POPULAR_SEEDS
from weightspace.evidence.traces import Traces, traces
from weightspace.images import ImageSet, load
from weightspace.images.known import BUILT_IN
from weightspace.markup import summary
from weightspace.progress import Progress, silent

if TYPE_CHECKING:
    from weightspace.meta import Model

MOST_SEEDS = 10_000_000
Readings = Sequence[Mapping[str, Any]]
"""What a model of a population reads from the weights, as `readings.readings` gives it."""


@dataclass(frozen=True)
class Audit:
    """What can be said of a checkpoint, and of what is claimed of it.

    Attributes
    ----------
    file : str
        The file.
    facts : Inspection
        What the file says about itself.
    verdicts : tuple of Verdict
        One for each claim, in their order. A last one, `training_length`, is there if claims of
        steps, epochs, batch size and images contradict a counter only together.
    findings : tuple of Finding
        What can be said without claims, the most certain first.
    evidence : tuple of Evidence
        All evidence, that of laws that cannot be applied too.
    readings : list of dict or None
        What a model of a population reads from the weights (`weightspace.audit.readings`). None: no
        model was given.
    traces : Traces or None
        The numbers behind some evidence, to draw them. None: they were not asked for.
    """

    file: str
    facts: Inspection
    verdicts: tuple[Verdict, ...]
    findings: tuple[Finding, ...]
    evidence: tuple[Evidence, ...]
    readings: Readings | None = None
    traces: Traces | None = None

    @property
    def contradicted(self) -> tuple[Verdict, ...]:
        """The verdicts on claims that are contradicted."""
        return tuple(one for one in self.verdicts if one.verdict == "contradicted")

    @property
    def decided(self) -> bool:
        """Whether every claim is consistent or contradicted."""
        return all(one.verdict != "undecidable" for one in self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """The audit as plain values for JSON.

        Returns
        -------
        dict
            The keys are `file`, `facts`, `verdicts`, `findings`, `evidence` and `readings`. Traces
            are left out.
        """
        return {
            "file": self.file,
            "facts": self.facts.to_dict(),
            "verdicts": [one.to_dict() for one in self.verdicts],
            "findings": [one.to_dict() for one in self.findings],
            "evidence": [plain(one) | {"missing": one.missing} for one in self.evidence],
            "readings": None if self.readings is None else [dict(one) for one in self.readings],
        }

    def _repr_html_(self) -> str:
        rows = [
            (one.verdict, one.claim.name, one.claim.value, one.strength, _first(one))
            for one in self.verdicts
        ]
        headings = ("verdict", "claim", "value", "strength", "why")
        findings = [(one.claim or one.kind, one.text) for one in self.findings]
        verdicts = summary(f"Audit of {self.file}", (), headings, rows)
        return verdicts + summary("What else can be said", (), ("about", "finding"), findings)


def audit(
    path: str | Path | InnerPath,
    claims: Claims | Mapping[str, Any] | str | Path | None = None,
    *,
    data: ImageSet | str | Path | None = None,
    seeds: int = 0,
    key: str | None = None,
    hashed: bool = False,
    model: Model | str | Path | None = None,
    traced: bool = False,
    progress: Progress = silent,
) -> Audit:
    """Say how a checkpoint was trained, and whether what is claimed of it is true.

    Nothing in the file is executed. Tensors are read when a law needs them.

    Parameters
    ----------
    path : str, Path or InnerPath
        A file of any form that `read_checkpoint` reads, or `hf://OWNER/NAME`.
    claims : Claims, dict, str or Path, optional
        What is claimed: hyper-parameters and values, or a card that `read_claims` reads.
    data : ImageSet, str or Path, optional
        The training data: an image set, its name, or the path of a `NAME.npz`.
    seeds : int
        Try the seeds from 0 up to this, beside the popular ones and that which is claimed.
    key : str, optional
        Which of several state dicts is the net.
    hashed : bool
        Whether to work out the SHA-256 of the file, which reads all of it.
    model : Model, str or Path, optional
        A fitted model, or the folder in which it was saved, for readings.
    traced : bool
        Whether to keep the numbers behind some evidence, which the page of an audit draws.
    progress : Progress
        Called after each law that was asked.

    Returns
    -------
    Audit

    Raises
    ------
    DataError
        If the file or the model cannot be read. The message is one line.
    UsageError
        If a claim is not possible.

    Examples
    --------
    >>> import tempfile, torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     content = {"net": net.state_dict(), "optimizer": optimizer.state_dict()}
    ...     torch.save(content, f"{folder}/net.pt")
    ...     found = audit(f"{folder}/net.pt", {"optimizer": "adam", "batch_norm": False, "seed": 1})
    >>> for one in found.verdicts:
    ...     print(one.claim.name, one.verdict)
    optimizer contradicted
    batch_norm consistent
    seed undecidable
    """
    asked = claims_of(claims)
    images = data_set(data)
    with open_net(path, key=key, hashed=hashed) as net:
        context = _context(asked, images, seeds, net.inspection)
        subject = of_checkpoint(net)
        laws = examine(subject, context, progress)
        kept = traces(subject, context) if traced else None
        read = None if model is None else (model, net.checkpoint())
    found = net.inspection
    stated = of_values((*facts_of(found, asked), *laws))
    measured = tuple(of_this_training(tuple(stated), asked))
    derived = derived_from(asked, measured, context)
    evidence = tuple(of_steps(measured, asked, context))
    return Audit(
        str(path),
        found,
        _verdicts(asked, evidence, derived),
        findings_of(found, evidence),
        evidence,
        None if read is None else _readings(*read),
        traces=kept,
    )


def _readings(model: Model | str | Path, net: Checkpoint) -> list[dict[str, Any]]:
    from weightspace.audit.readings import readings  # scikit-learn takes long to load
    from weightspace.meta import Model

    fitted = model if isinstance(model, Model) else Model.load(model)
    return readings(fitted, net)


def _verdicts(
    claims: Claims, evidence: tuple[Evidence, ...], derived: tuple[Derived, ...]
) -> tuple[Verdict, ...]:
    found = [judged(claim, claims, evidence, derived) for claim in claims]
    contradicted = {one.claim.name for one in found if one.verdict == "contradicted"}
    for one in derived:
        if one.evidence.claim != JOINT or contradicted & set(one.given):
            continue
        which = f"which of {', '.join(one.given)} is wrong: not all can be true"
        found = [
            replace(other, decides=which)
            if other.verdict == "undecidable" and other.claim.name in one.given
            else other
            for other in found
        ]
        value = one.evidence.hypotheses[0].values[0]
        found.append(judged(Claim(JOINT, value, str(value)), claims, (), (one,)))
    return tuple(found)


def claims_of(claims: Claims | Mapping[str, Any] | str | Path | None) -> Claims:
    """The claims of plain values, or of a card."""
    if claims is None:
        return Claims()
    if isinstance(claims, Claims):
        return claims
    return read_claims(claims) if isinstance(claims, str | Path) else Claims.of(claims)


def data_set(data: ImageSet | str | Path | None) -> ImageSet | None:
    """The image set of a name or of the path of a `NAME.npz`."""
    if data is None or isinstance(data, ImageSet):
        return data
    path = Path(data)
    if path.suffix != ".npz":
        return load(str(data))
    if path.stem in BUILT_IN:
        raise UsageError(
            "data", f"{path.stem} is the name of a built-in image set", f"rename {path.name}"
        )
    return load(path.stem, path.parent)


def _context(claims: Claims, images: ImageSet | None, seeds: int, found: Inspection) -> Context:
    if not 0 <= seeds <= MOST_SEEDS:
        raise UsageError("seeds", f"{seeds:,} is not a number from 0 to {MOST_SEEDS:,}")
    tried = dict.fromkeys((*POPULAR_SEEDS, *range(seeds)))
    claimed = claims.get("seed")
    if isinstance(claimed, int):
        tried[claimed] = None
    return Context(claims=dict(claims.values), seeds=tuple(tried), images=images, inspection=found)


def _first(verdict: Verdict) -> str:
    """The first sentence of the evidence, or what would decide the claim."""
    if verdict.bearings:
        return verdict.bearings[0].evidence.says
    return f"to decide it: {verdict.decides}" if verdict.decides else ""
