"""From verdicts to what happens: promote, hold for approval, or reject."""

import datetime

from modelrefresh.api import names
from modelrefresh.api.conditions import Reason
from modelrefresh.api.rollout import Approval
from modelrefresh.api.status.refresh import VersionRef
from modelrefresh.api.status.run import Outcome, Run, StageState
from modelrefresh.api.status.stage_facts import EvaluateFacts, VerdictFacts
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.actions import DropVersion, Plan, RefreshPlan, SealVersion, StatusSummary
from modelrefresh.plan.judging.gates import Verdict
from modelrefresh.plan.observed import ObservedVersion, ReadyRefresh
from modelrefresh.plan.rollout import rollout, serving
from modelrefresh.plan.runs import run_end
from modelrefresh.plan.runs.run_end import End
from modelrefresh.plan.stages import stage_records


def conclude(ready: ReadyRefresh, now: datetime.datetime) -> RefreshPlan | None:
    """Every stage has succeeded: act on what the gates said."""
    run = ready.status.run
    measured = run.record(Stage.EVALUATE) if run and run.outcome is None else None
    if run is None or measured is None or measured.state is not StageState.SUCCEEDED or measured.evaluate is None:
        return None
    if measured.digest != stage_records.candidate(run):
        # Another model was measured than the one that was merged: nothing is known of this one.
        return _reject(ready, run, EvaluateFacts(), now)
    digest = stage_records.candidate(run)
    assert digest is not None  # noqa: S101 -- merge comes before evaluate
    target = VersionRef(version=serving.name_of(ready, digest), digest=digest)
    sealed = next((item for item in ready.versions if item.name == target.version), None)
    if ready.status.candidate != target or sealed is None:
        return _seal(ready, run, target, measured.evaluate)
    if not passed(measured.evaluate):
        return _reject(ready, run, measured.evaluate, now)
    return _release(ready, run, target, now) if sealed.passed else _seal_anew(ready, sealed)


def _release(ready: ReadyRefresh, run: Run, target: VersionRef, now: datetime.datetime) -> RefreshPlan:
    if ready.spec.rollout.approval is Approval.MANUAL and ready.meta.approved != target.version:
        return _await_approval(ready, target)
    return rollout.promote(ready, run, target, now)


def passed(facts: EvaluateFacts) -> bool:
    """Every gate passed, and there was one."""
    return bool(facts.verdicts) and all(item.verdict == Verdict.PASS for item in facts.verdicts)


def reason(facts: EvaluateFacts) -> Reason:
    """The reason of GatesPassed, by the worst verdict."""
    saw = {item.verdict for item in facts.verdicts}
    if not saw or Verdict.ERROR in saw:
        return Reason.RESULTS_MISSING
    if Verdict.FAIL in saw:
        return Reason.BELOW_THRESHOLD
    return Reason.INCONCLUSIVE if Verdict.INCONCLUSIVE in saw else Reason.GATES_PASSED


def spell(item: VerdictFacts) -> str:
    """One verdict in words, such as `retained/exact_match -0.1200 [-0.1500, -0.0900] needs -0.0500: Fail`."""
    if item.seen is None:
        return f"{item.suite}/{item.metric}: {item.verdict}: {item.message}"
    bounds = f"[{item.low}, {item.high}]"
    return f"{item.suite}/{item.metric} {item.seen} {bounds} needs {item.needed}: {item.verdict}"


def _seal(ready: ReadyRefresh, run: Run, target: VersionRef, facts: EvaluateFacts) -> RefreshPlan:
    summary = StatusSummary(
        reason=Reason.RUNNING, message=f"{target.version} is judged: {reason(facts)}", reconciling=True
    )
    seal = SealVersion(name=target.version, digest=target.digest, run=run)
    return Plan(
        status=ready.status.evolve(candidate=target), summary=summary, actions=(seal,), requeue_after_seconds=0.0
    )


def _seal_anew(ready: ReadyRefresh, sealed: ObservedVersion) -> RefreshPlan:
    """The same bytes were rejected by an earlier run's gates: that record must not speak for what will serve."""
    summary = StatusSummary(
        reason=Reason.RUNNING, message=f"{sealed.name} passes other gates than before", reconciling=True
    )
    drop = DropVersion(name=sealed.name, uid=sealed.uid)
    return Plan(status=ready.status, summary=summary, actions=(drop,), requeue_after_seconds=0.0)


def _reject(ready: ReadyRefresh, run: Run, facts: EvaluateFacts, now: datetime.datetime) -> RefreshPlan:
    against = [spell(item) for item in facts.verdicts if item.verdict != Verdict.PASS]
    text = "; ".join(against) or "no gate has a verdict"
    status = run_end.close(ready.status, run, End(outcome=Outcome.REJECTED, message=text, reason=reason(facts)), now)
    return Plan(status=status, summary=StatusSummary(reason=Reason.REJECTED, message=text), requeue_after_seconds=0.0)


def _await_approval(ready: ReadyRefresh, target: VersionRef) -> RefreshPlan:
    text = (
        f"{target.version} passed every gate; approve it with: kubectl annotate mref {ready.meta.name} "
        f"-n {ready.meta.namespace} --overwrite {names.ANNOTATION_APPROVE}={target.version}"
    )
    return Plan(status=ready.status, summary=StatusSummary(reason=Reason.AWAITING_APPROVAL, message=text))
