"""What there is to know about the cluster that `up` left: a record, kept in a file beside the state.

Whoever tests against the cluster reads it here and asks nobody else; it says what was
started, not whether that still lives.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_type_hints

from hack.cluster import failures, settings

_FILE: Final = settings.CACHE / "cluster.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One cluster: how it came to be, how it is reached, and the programs that fit it."""

    kind: str
    kubernetes: str
    kubeconfig: Path
    kubectl: Path
    helm: Path
    promtool: Path | None
    registry: str
    volumes: Path | None
    audit_log: Path | None


def read() -> Facts:
    """Return the facts of the cluster that was started last."""
    try:
        known = json.loads(_FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise failures.ClusterError(
            f"{_FILE}: not there or not readable ({error}), so no cluster was started here. Start one: make cluster"
        ) from error
    paths = {name for name, kind in get_type_hints(Facts).items() if kind in {Path, Path | None}}
    values: dict[str, Any] = {name: Path(value) if value and name in paths else value for name, value in known.items()}
    return Facts(**values)


def write(facts: Facts) -> None:
    """Keep `facts` for `read`."""
    partial = _FILE.with_suffix(".partial")
    partial.write_text(document(facts), encoding="utf-8")
    partial.rename(_FILE)


def forget() -> None:
    """Let `read` say that there is no cluster."""
    _FILE.unlink(missing_ok=True)


def document(facts: Facts, **more: object) -> str:
    """Return `facts` and `more` as JSON."""
    return json.dumps(dataclasses.asdict(facts) | more, default=str, indent=1)
