"""Objects of our four kinds for tests: the smallest useful ones, with edits by field path.

A test says only what it is about: `refresh_spec({"spec.training.nodes": 2})`. Paths are
written as faults write them: dots for fields, [0] for list items. Knows no cluster.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any, Final

from modelrefresh.api import model, names
from modelrefresh.api.profile import ProfileSpec
from modelrefresh.api.spec import RefreshSpec, ResidualSpec
from modelrefresh.api.status.version import VersionSpec

REMOVED: Final = object()
"""As the value of an edit: take the field away."""
DIGEST: Final = "0123456789abcdef" * 4
IMAGE: Final = f"registry.test/jobs@sha256:{DIGEST}"

_NAMESPACE: Final = "team-a"
_REFRESH: Final = {
    "base": {"uri": "pvc://models/base"},
    "residualRef": {"name": "instruct"},
    "data": {"uri": "pvc://corpus/news"},
    "evaluation": {
        "suites": [{"name": "knowledge", "uri": "pvc://evals/knowledge.jsonl", "task": "question-answering"}],
        "gates": [{"suite": "knowledge", "metric": "exact_match", "minDifference": "0.02"}],
    },
    "rollout": {"deployment": {"name": "chat"}},
}
_RESIDUAL: Final = {"base": {"uri": "pvc://models/base"}, "instruct": {"uri": "pvc://models/instruct"}}
_PROFILE: Final = {"image": IMAGE, "namespaces": ["*"], "allowedSources": ["pvc://"]}
_VERSION: Final = {
    "refresh": "news",
    "run": "0a1b2c3d4e",
    "digest": DIGEST,
    "path": f"versions/{DIGEST}",
    "lineage": {"strategy": "Residual", "method": "LoRA", "base": "pvc://models/base", "residual": "instruct"},
    "verdict": "Passed",
}


def refresh(edits: Mapping[str, object] | None = None, *, name: str = "news") -> dict[str, Any]:
    """A ModelRefresh of one suite and one gate."""
    return _object(names.REFRESH, name, _REFRESH, edits)


def residual(edits: Mapping[str, object] | None = None, *, name: str = "instruct") -> dict[str, Any]:
    """An InstructionResidual of two checkpoints on one claim."""
    return _object(names.RESIDUAL, name, _RESIDUAL, edits)


def profile(edits: Mapping[str, object] | None = None, *, name: str = "default") -> dict[str, Any]:
    """A RefreshProfile with nothing but its image."""
    document = _object(names.PROFILE, name, _PROFILE, edits)
    document["metadata"].pop("namespace", None)
    return document


def version(edits: Mapping[str, object] | None = None, *, name: str = "news-01234567") -> dict[str, Any]:
    """A ModelVersion that passed."""
    return _object(names.MODEL_VERSION, name, _VERSION, edits)


def refresh_spec(edits: Mapping[str, object] | None = None) -> RefreshSpec:
    """The parsed spec of `refresh`."""
    return model.parse(RefreshSpec, refresh(edits)["spec"])


def residual_spec(edits: Mapping[str, object] | None = None) -> ResidualSpec:
    """The parsed spec of `residual`."""
    return model.parse(ResidualSpec, residual(edits)["spec"])


def profile_spec(edits: Mapping[str, object] | None = None) -> ProfileSpec:
    """The parsed spec of `profile`."""
    return model.parse(ProfileSpec, profile(edits)["spec"])


def version_spec(edits: Mapping[str, object] | None = None) -> VersionSpec:
    """The parsed spec of `version`."""
    return model.parse(VersionSpec, version(edits)["spec"])


def edit(document: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of the document with one field set, or taken away; objects on the way come into being."""
    result = copy.deepcopy(dict(document))
    *way, last = [int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path)]
    place: Any = result
    for step in way:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    if value is REMOVED:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return result


def _object(kind: str, name: str, spec: Mapping[str, Any], edits: Mapping[str, object] | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "apiVersion": names.API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": _NAMESPACE},
        "spec": copy.deepcopy(dict(spec)),
    }
    for path, value in (edits or {}).items():
        document = edit(document, path, value)
    return document
