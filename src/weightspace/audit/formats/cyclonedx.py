"""Audits as a CycloneDX 1.6 bill of materials of machine-learning models."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from weightspace.audit.auditing import Audit
from weightspace.audit.formats.outcome import Outcome, value_of
from weightspace.printable import printable

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_PREFIX = "weightspace"
_LONGEST = 1000  # characters of a property
_SHOWN = 100  # findings


def bom(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Audits as a bill of materials: one component a file that can be read.

    Parameters
    ----------
    outcomes : sequence of Outcome
        The audits, or reasons why there are none.

    Returns
    -------
    dict
        A document that the schema of CycloneDX 1.6 accepts. Claims, verdicts, evidence and what
        cannot be read are properties, whose names begin with "weightspace:".
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    tool = {"type": "application", "name": "weightspace", "version": version("weightspace")}
    unread = [_property("unreadable", f"{o.file}: {o.error}") for o in outcomes if o.audit is None]
    metadata: dict[str, Any] = {"timestamp": now, "tools": {"components": [tool]}}
    if unread:
        metadata["properties"] = unread
    audits = [one.audit for one in outcomes if one.audit is not None]
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": metadata,
        "components": [_component(one, number) for number, one in enumerate(audits, 1)],
    }


def _component(audit: Audit, number: int) -> dict[str, Any]:
    facts = audit.facts
    found: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"model-{number}",
        "name": printable(facts.path.name or audit.file, 255),
        "modelCard": {"modelParameters": _parameters(audit)},
        "properties": list(_properties(audit)),
    }
    if facts.sha256:
        found["hashes"] = [{"alg": "SHA-256", "content": facts.sha256}]
    return found


def _parameters(audit: Audit) -> dict[str, Any]:
    net = audit.facts.architecture
    found: dict[str, Any] = {
        "architectureFamily": net.kind,
        "modelArchitecture": f"{net.kind} of {len(net.layers):,} layers",
    }
    consistent = {
        one.claim.name: value_of(one) for one in audit.verdicts if one.verdict == "consistent"
    }
    if "dataset" in consistent:
        found["datasets"] = [{"type": "dataset", "name": consistent["dataset"]}]
    return found


def _properties(audit: Audit) -> Iterator[Mapping[str, str]]:
    facts = audit.facts
    yield _property("file", audit.file)
    yield _property("format", facts.form)
    yield _property("bytes", str(facts.bytes))
    for part, count in facts.architecture.parameters.items():
        yield _property(f"parameters:{part}", str(count))
    for dtype, count in facts.dtypes.items():
        yield _property(f"values:{dtype}", str(count))
    for one in audit.verdicts:
        name = f"claim:{printable(one.claim.name, 80)}"
        yield _property(name, value_of(one))
        yield _property(f"{name}:verdict", one.verdict)
        yield _property(f"{name}:strength", one.strength)
        for bearing in one.bearings:
            said = f"{bearing.evidence.law}: {bearing.evidence.says} (p = {bearing.p_value:.3g})"
            yield _property(f"{name}:evidence", said)
    for finding in audit.findings[:_SHOWN]:
        yield _property(f"finding:{finding.claim or finding.kind}", finding.text)


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"{_PREFIX}:{name}", "value": printable(value, _LONGEST)}
