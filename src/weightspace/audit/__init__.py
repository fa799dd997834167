"""Whether what is said of a checkpoint is true: claims, and a verdict on each.

In: the path of a checkpoint, and `Claims` (of a card, or given as they are). Out: an `Audit`: the
facts that the file states, a `Verdict` on each claim (consistent, contradicted or undecidable) with
its evidence, and what can be said without claims. Promises: nothing in a file is executed; a claim
is contradicted only if its p-value is below 0.0001, and consistent only if the evidence could have
contradicted it; nothing counts twice. Readings of a model come in as `Audit.readings`.
"""

from weightspace._moved import moved
from weightspace.audit.auditing import Audit, audit
from weightspace.audit.cards import claims_in, read_claims
from weightspace.audit.claims import Claim, Claims
from weightspace.audit.findings import Finding
from weightspace.audit.verdicts import Verdict

__all__ = ["Audit", "Claim", "Claims", "Finding", "Verdict", "audit", "claims_in", "read_claims"]

_NAMES = ("Checkpoint", "Note", "Prediction", "predict", "read_checkpoint")

__getattr__ = moved("weightspace.audit", "weightspace.checkpoints", _NAMES)
