"""The heart: what one look at the cluster calls for. Two ordered tuples of rules are the documentation.

Each rule answers with a plan or stays silent; the first answer counts and the last rule
always answers. A plan never does more than one step: the next look takes the next one.
"""

import dataclasses
import datetime
from collections.abc import Callable
from typing import Final, TypeAlias

from modelrefresh.plan import lifecycle, prerequisites, retention
from modelrefresh.plan.actions import RefreshPlan
from modelrefresh.plan.attempts import stage_results, stage_steps
from modelrefresh.plan.judging import outdated, promotion
from modelrefresh.plan.observed import ObservedRefresh, ReadyRefresh
from modelrefresh.plan.rollout import holding, rollout
from modelrefresh.plan.runs import opening
from modelrefresh.plan.stages import order

Precondition: TypeAlias = Callable[[ObservedRefresh, datetime.datetime], RefreshPlan | None]
Rule: TypeAlias = Callable[[ReadyRefresh, datetime.datetime], RefreshPlan | None]

BEFORE: Final[tuple[Precondition, ...]] = (
    lifecycle.clean_up,  # going away beats everything
    lifecycle.add_finalizer,  # nothing may vanish before its Jobs have
    prerequisites.refuse_bad_spec,  # a spec we cannot read is said once, not retried
    rollout.advance,  # a Deployment on its way is brought to rest, whatever else is amiss
    prerequisites.hold_if_suspended,  # the user asked for silence
    prerequisites.require,  # no GPU hour for a model that could not be served
)

RULES: Final[tuple[Rule, ...]] = (
    holding.hold,  # one Deployment, one refresh
    rollout.adopt_user_choice,  # a person's choice of version is right
    rollout.record_served,  # the versions say which one serves
    opening.supersede,  # the spec says something else now
    opening.clear,  # never two runs at work
    rollout.report_conflict,  # two writers of one variable would never end
    stage_steps.give_up,  # a stage has failed for good
    stage_steps.register_stock,  # version zero exists
    rollout.install,  # and serves before anything is trained
    stage_steps.skip_unchanged,  # nothing new to learn
    outdated.repeat,  # what serves has changed under a candidate
    promotion.conclude,  # numbers decide whether serving may change
    stage_steps.await_stage,  # a Job is at work
    retention.make_room,  # the next one has found none
    stage_steps.start_stage,  # the next one
    opening.open_next,  # a run is due
    retention.sweep,  # what nothing needs goes while nothing else is at work
    opening.idle,  # always answers
)


def decide(observed: ObservedRefresh, now: datetime.datetime) -> RefreshPlan:
    """Answer with the first rule that has something to say."""
    if observed.spec is not None and observed.profile is not None:
        # Without both nobody can say what an ended attempt means; its Job keeps the answer until they are back.
        spec = observed.spec
        context = stage_results.AttemptContext(
            attempts=observed.profile.limits.attempts,
            now=now,
            found=lambda record, summary: order.of(record.name).found(record, summary, spec),
        )
        observed = dataclasses.replace(
            observed, status=stage_results.observe_jobs(observed.status, observed.jobs, context)
        )
    for precondition in BEFORE:
        if (plan := precondition(observed, now)) is not None:
            return plan
    ready = prerequisites.ready(observed)
    for rule in RULES:
        if (plan := rule(ready, now)) is not None:
            return plan
    raise AssertionError("opening.idle always answers")
