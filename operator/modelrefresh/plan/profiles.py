"""What a RefreshProfile lets an object do: whether it may be used, what may be read, how much it may cost."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any, Final

from modelrefresh.api.conditions import Reason
from modelrefresh.api.profile import ProfileSpec
from modelrefresh.api.spec import RefreshSpec
from modelrefresh.contract import uris
from modelrefresh.contract.limits import GENERATED_TOKENS
from modelrefresh.plan.observed import Observed

_MODELS: Final = 2
"""Candidate and incumbent answer the same questions."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """One thing that is not as a run needs it."""

    reason: Reason
    text: str


def lacks(name: str, observed: Observed[Any], *, named: Iterable[str]) -> Iterator[Lack]:
    """The profile must exist, be for this namespace, and allow these sources."""
    found, team = observed.profile, "ask the platform team"
    if found is None and observed.profile_faults:
        text = f'RefreshProfile "{name}" cannot be used, {team}: {"; ".join(observed.profile_faults)}'
        yield Lack(reason=Reason.PROFILE_NOT_USABLE, text=text)
    elif found is None:
        text = f'RefreshProfile "{name}" does not exist; {team} for it or name another one in spec.profile'
        yield Lack(reason=Reason.PROFILE_NOT_FOUND, text=text)
    elif not _is_for(found, observed):
        text = f'RefreshProfile "{name}" is not for namespace {observed.meta.namespace}; {team}, or name another one'
        yield Lack(reason=Reason.PROFILE_NOT_FOR_NAMESPACE, text=text)
    elif refused := [uri for uri in named if uris.widest(found.allowed_sources, uri) is None]:
        sources, saw = ", ".join(found.allowed_sources), ", ".join(refused)
        text = f'RefreshProfile "{name}": not among the allowed sources {sources}: {saw}'
        yield Lack(reason=Reason.PROFILE_FORBIDS, text=text)


def _is_for(found: ProfileSpec, observed: Observed[Any]) -> bool:
    """Whether the profile's owner lets this namespace use it."""
    wanted = found.namespace_selector.match_labels.items() if found.namespace_selector else ()
    chosen = bool(wanted) and set(wanted) <= set(observed.namespace_labels.items())
    return chosen or bool({"*", observed.meta.namespace} & set(found.namespaces))


def over_limits(spec: RefreshSpec, profile: ProfileSpec) -> Iterable[str]:
    """What of a spec asks for more than the profile grants."""
    training, limits = spec.training, profile.limits
    asked = (
        ("gpusPerNode", training.gpus_per_node, limits.gpus_per_node),
        ("nodes", training.nodes, limits.nodes),
        ("maxTokens times epochs", training.max_tokens * math.ceil(float(training.epochs)), limits.max_tokens),
    )
    for name, saw, most in asked:
        if saw > most:
            yield f"spec.training.{name} is {saw}, at most {most} is allowed"
    if training.checkpoint_seconds < limits.min_checkpoint_seconds:
        saw, least = training.checkpoint_seconds, limits.min_checkpoint_seconds
        yield f"spec.training.checkpointSeconds is {saw}, at least {least} is allowed"
    if spec.retain.versions > limits.versions:
        yield f"spec.retain.versions is {spec.retain.versions}, at most {limits.versions} is allowed"
    searched = len(spec.residual.search.scales) * len(spec.dev_suites) if spec.residual.search else 0
    asked_suites = _MODELS * len(spec.evaluation.suites) + searched
    tokens = asked_suites * spec.evaluation.max_items * spec.evaluation.max_new_tokens
    if tokens > limits.evaluation_tokens:
        product = "suites times maxItems times maxNewTokens, of both models and of each factor of a search,"
        yield f"spec.evaluation: {product} is {tokens}, at most {limits.evaluation_tokens} is allowed"
    replay = spec.data.replay
    written = min(training.max_tokens * replay.percent // 100, GENERATED_TOKENS) if replay and replay.generate else 0
    if written > limits.generated_tokens:
        yield f"spec.data.replay: {written} tokens would be generated, at most {limits.generated_tokens} is allowed"
