"""Verdicts, lineage and lists as text. Pure.

Every figure is one that the operator wrote into the status or a ModelVersion.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]
HEAD = ("gate", "metric", "items", "incumbent", "candidate", "difference", "error", "needed", "verdict")


def verdicts(evaluation: Document) -> str:
    """The table that decided a run: one row per gate."""
    scores = {(score["suite"], score["metric"]): score for score in evaluation.get("scores", [])}
    rows = (_row(gate, scores.get((gate["suite"], gate["metric"]), {})) for gate in evaluation.get("verdicts", []))
    return columns([HEAD, *rows])


def reasons(evaluation: Document) -> str:
    """What the gates that did not pass say."""
    failed = (gate for gate in evaluation.get("verdicts", []) if gate["verdict"] != "Pass")
    return "\n".join(
        f"{gate['suite']}: {gate['verdict']}, {gate.get('message') or 'no reason given'}" for gate in failed
    )


def lineage(version: Document) -> str:
    """What a ModelVersion was made of."""
    spec = version["spec"]
    made = spec["lineage"]
    rows = [("version", version["metadata"]["name"]), ("digest", spec["digest"]), ("strategy", made["strategy"])]
    rows += [
        (label, str(made[field]))
        for label, field in (
            ("method", "method"),
            ("base", "base"),
            ("residual", "residual"),
            ("residual digest", "residualDigest"),
            ("data", "data"),
            ("data fingerprint", "dataFingerprint"),
            ("tokens", "tokens"),
            ("image", "image"),
        )
        if made.get(field)
    ]
    return columns([*rows, ("verdict", f"{spec['verdict']}  {spec.get('summary', '')}".strip())])


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows with aligned columns."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(gate: Document, score: Document) -> tuple[str, ...]:
    return (
        gate["suite"],
        gate["metric"],
        str(score.get("items", "-")),
        _figure(score.get("incumbent")),
        _figure(score.get("candidate")),
        _figure(score.get("difference"), signed=True),
        _figure(score.get("error")),
        f">= {_figure(gate['needed'], signed=gate['versus'] == 'Incumbent')}",
        gate["verdict"],
    )


def _figure(text: str | None, *, signed: bool = False) -> str:
    if text is None:
        return "-"
    return f"{float(text):+.3f}" if signed else f"{float(text):.3f}"
