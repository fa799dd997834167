"""`Comparison`: what two nets have in common, tensor by tensor and as a verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from weightspace.evidence.record import Evidence, Hypothesis
from weightspace.markup import summary

LAW = "kinship"


@dataclass(frozen=True)
class TensorPair:
    """Two tensors that were compared.

    Attributes
    ----------
    first, second : str
        Their names.
    shape : tuple of int
        The shape in the first file.
    relation : str
        "equal"; "rounded to bfloat16", "rounded to float16", "quantised", "pruned", "rescaled" (by
        factors of units and of inputs); "related" or "no sign of kinship", for kernels with hidden
        units; "differs", for others.
    correlation : float or None
        Of units at the same place, for kernels. The mean of each input is taken out.
    p_value : float or None
        How likely units are as much in one order if the nets are unrelated; for kernels with hidden
        units.
    note : str
        Why there is no p-value.
    """

    first: str
    second: str
    shape: tuple[int, ...]
    relation: str
    correlation: float | None = None
    p_value: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """What two nets have in common.

    Attributes
    ----------
    first, second : str
        The files.
    verdict : str
        "identical", "same weights" (rounded, quantised, pruned, or with rescaled or permuted
        units), "partly shared", "fine-tuned", "same initial weights", "related" (one of the two
        before, and which cannot be told), "unrelated", "undecidable" or "not comparable".
    strength : str
        "exact", "very strong", "strong", "measured" or "none".
    says : tuple of str
        Sentences for people.
    direction : str
        For "fine-tuned": "first to second" if the second net continues the first, "second to
        first" if it is the other way round, "" if nothing tells.
    permuted : bool
        Whether hidden units had to be put in another order.
    p_value : float or None
        How likely unrelated nets look as much akin, for all kernels together; None if no kernel
        has hidden units, or if values are equal.
    drift : float or None
        The squared difference of the nets, as a share of what was learned.
    alike : float or None
        The correlation of matched units where the matching did not look, if it was asked.
    tensors : tuple of TensorPair
        All pairs.
    only_first, only_second : tuple of str
        Tensors without a partner of their shape.
    """

    first: str
    second: str
    verdict: str
    strength: str
    says: tuple[str, ...]
    direction: str = ""
    permuted: bool = False
    p_value: float | None = None
    drift: float | None = None
    alike: float | None = None
    tensors: tuple[TensorPair, ...] = field(default=(), repr=False)
    only_first: tuple[str, ...] = field(default=(), repr=False)
    only_second: tuple[str, ...] = field(default=(), repr=False)

    @property
    def decided(self) -> bool:
        """Whether there is an answer: not "undecidable" and not "not comparable"."""
        return self.verdict not in ("undecidable", "not comparable")

    @property
    def related(self) -> bool:
        """Whether the nets have a common origin."""
        return self.decided and self.verdict != "unrelated"

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values for JSON: a key for each attribute, and `related`."""
        return asdict(self) | {"related": self.related if self.decided else None}

    def _repr_html_(self) -> str:
        facts = [("A", self.first), ("B", self.second), ("verdict", self.verdict)]
        facts += [("strength", self.strength)] if self.decided else []
        facts += [("", sentence) for sentence in self.says]
        rows = [
            (one.first, one.second, "x".join(map(str, one.shape)), one.relation, one.correlation,
             one.note if one.p_value is None else one.p_value)
            for one in self.tensors
        ]  # fmt: skip
        headings = ("A", "B", "shape", "relation", "correlation", "p-value")
        return summary("Comparison", facts, headings, rows)

    def evidence(self) -> Evidence:
        """The comparison as evidence on the claim `pretrained_from`, whose value is `second`."""
        says = " ".join(self.says)
        if not self.decided:
            return Evidence(LAW, "pretrained_from", says, missing=self.verdict)
        unrelated = self.p_value if self.p_value is not None else 0.0 if self.related else 1.0
        hypotheses = (Hypothesis(("unrelated",), unrelated),)
        return Evidence(LAW, "pretrained_from", says, statistic=self.drift, hypotheses=hypotheses)
