"""A small world for passes: one refresh with everything it needs, a clock, and stages that answer at once.

`World.settle()` makes passes and plays the Job and Deployment controllers until nothing
changes any more; the answers of stages can be replaced one by one. It checks after each
pass that no impossible world was made: two live Jobs of one stage, or an ungated model served.
"""

import asyncio
import dataclasses
import datetime
import re
from collections.abc import Callable
from typing import Any, Final

from modelrefresh import reconcile
from modelrefresh.api import names
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.contract import result, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.result import Result
from modelrefresh.contract.stages.evaluate import EvaluateSummary, Score
from modelrefresh.contract.stages.extract import ExtractSummary
from modelrefresh.contract.stages.import_ import ImportSummary
from modelrefresh.contract.stages.merge import MergeSummary
from modelrefresh.contract.stages.prepare import PrepareSummary
from modelrefresh.contract.stages.sweep import SweepSummary
from modelrefresh.contract.stages.train import TrainSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from modelrefresh.runtime.queue import Key
from tests import builders
from tests.fakes import controllers
from tests.fakes.cluster import START, CrashError, FakeCluster

NAMESPACE: Final = "team-a"
REFRESH: Final = Key(kind=names.REFRESH, namespace=NAMESPACE, name="news")
RESIDUAL: Final = Key(kind=names.RESIDUAL, namespace=NAMESPACE, name="instruct")
STOCK: Final = "5" * 64
Answer = Callable[[stage_request.StageRequest], Result]


class World:
    """The cluster, the clock and what stages answer."""

    def __init__(self, edits: dict[str, object] | None = None) -> None:
        self.now = START
        self.cluster = FakeCluster(now=lambda: self.now)
        self.answers: dict[Stage, Answer] = dict(_ANSWERS)
        self.rollouts = True
        """Whether the target Deployment becomes available."""
        self.deploy: Callable[[World], None] = deploy
        """What the Deployment's controller does."""
        self.held: set[Stage] = set()
        """Stages whose pods run without an end."""
        self.judged: set[str] = set()
        """Digests that passed at some time; their ModelVersions may be gone with an earlier ModelRefresh."""
        self.refusals: dict[Stage, str] = {}
        """Stages of which no pod can be made, and why."""
        self.passes = self.checked = 0
        for claim in ("workspace", "models", "corpus", "evals"):
            self.cluster.add(kinds.CLAIM, {"metadata": {"name": claim, "namespace": NAMESPACE}})
        self.cluster.add(kinds.REFRESH_PROFILE, builders.profile())
        self.cluster.add(kinds.DEPLOYMENT, deployment())
        self.cluster.add(kinds.INSTRUCTION_RESIDUAL, builders.residual())
        self.cluster.add(kinds.MODEL_REFRESH, builders.refresh(edits))

    def one_pass(self, key: Key) -> float | None:
        """One pass, and the check that follows it."""
        self.passes += 1
        wake = asyncio.run(reconcile.one_pass(self.cluster, key, now=self.now))
        self.check()
        return wake

    def settle(self, *, limit: int = 120) -> RefreshStatus:
        """Passes and controllers in turn until the world stands still."""
        for _ in range(limit):
            before = self.snapshot()
            wakes = [self.survive(key) for key in (RESIDUAL, REFRESH)]
            self.play()
            if self.snapshot() == before and all(wake is None or wake > 0 for wake in wakes):
                return self.status()
            self.now += datetime.timedelta(seconds=1)
        raise AssertionError(f"the world did not come to rest: {self.status()}")

    def one_pass_over_a_crowd(self) -> None:
        """One pass, without the check: it takes Jobs of strangers for ours."""
        asyncio.run(reconcile.one_pass(self.cluster, REFRESH, now=self.now))

    def hold_at(self, stage: Stage, *, passes: int = 12) -> None:
        """Passes and controllers in turn, with this stage's pods running without an end."""
        self.held.add(stage)
        for _ in range(passes):
            self.survive(RESIDUAL)
            self.survive(REFRESH)
            self.play()
            self.pass_time(20)

    def wait(self, seconds: float) -> RefreshStatus:
        """Let time go by, then settle."""
        self.pass_time(seconds)
        return self.settle()

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """A user edits the ModelRefresh."""
        self.cluster.edit(kinds.MODEL_REFRESH, change, namespace=NAMESPACE, name=REFRESH.name)

    def play(self) -> None:
        """What the controllers and the stages do meanwhile."""
        for job in self.cluster.all(kinds.JOB, namespace=NAMESPACE):
            request = request_of(job)
            if _ended(job):
                continue
            if request.stage in self.refusals:
                name, message = job["metadata"]["name"], self.refusals[request.stage]
                controllers.refuse_pods(self.cluster, NAMESPACE, name, message=message, tries=self.passes)
                continue
            if request.stage in self.held:
                if not job.get("status", {}).get("active"):
                    controllers.start_job(self.cluster, NAMESPACE, job["metadata"]["name"])
                continue
            answer = self.answers[request.stage](request)
            text = result.render_short(dataclasses.replace(answer, nonce=nonce_of(job)))
            name = job["metadata"]["name"]
            controllers.finish_job(self.cluster, NAMESPACE, name, exit_code=answer.exit_code, message=text)
        self.deploy(self)

    def status(self) -> RefreshStatus:
        """The refresh's status as it stands in the API."""
        document = self.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name=REFRESH.name)
        assert document is not None
        return RefreshStatus.read(document.get("status"))

    def jobs(self, stage: Stage | None = None) -> list[dict[str, Any]]:
        """Jobs in the namespace, of one stage or all."""
        found = self.cluster.all(kinds.JOB, namespace=NAMESPACE)
        return [job for job in found if stage is None or request_of(job).stage is stage]

    def live_jobs(self) -> list[dict[str, Any]]:
        """Jobs that have not ended."""
        return [job for job in self.jobs() if not _ended(job)]

    def pass_time(self, seconds: float) -> None:
        """Only the clock moves."""
        self.now += datetime.timedelta(seconds=seconds)

    def choose(self, digest: str) -> None:
        """A person points the Deployment at a version by hand, as `kubectl rollout undo` does."""

        def point(chat: dict[str, Any]) -> None:
            template = chat["spec"]["template"]
            template.setdefault("metadata", {}).setdefault("annotations", {})[names.ANNOTATION_DIGEST] = digest
            told = {"name": names.MODEL_VARIABLE, "value": f"/models/versions/{digest}"}
            template["spec"]["containers"][0]["env"] = [told]

        self.cluster.edit(kinds.DEPLOYMENT, point, namespace=NAMESPACE, name="chat")

    def served(self) -> str | None:
        """Digest that the Deployment names."""
        chat = self.cluster.peek(kinds.DEPLOYMENT, namespace=NAMESPACE, name="chat")
        assert chat is not None
        annotations = chat["spec"]["template"].get("metadata", {}).get("annotations") or {}
        digest: str | None = annotations.get(names.ANNOTATION_DIGEST)
        return digest

    def snapshot(self) -> list[str]:
        """Everything but events, as text."""
        watched = (*kinds.OWN, kinds.JOB, kinds.DEPLOYMENT)
        return [str(document) for kind in watched for document in self.cluster.all(kind)]

    def check(self) -> None:
        """No impossible world: one live Job per stage, only judged models served, no word that is not true."""
        self._check_words()
        live = [(asked.owner, asked.stage) for asked in map(request_of, self.live_jobs())]
        assert len(live) == len(set(live)), f"two live Jobs of one stage: {live}"
        served = self.served()
        if self.cluster.peek(kinds.MODEL_REFRESH, namespace=NAMESPACE, name=REFRESH.name) is None:
            return
        self.judged |= {
            version["spec"]["digest"]
            for version in self.cluster.all(kinds.MODEL_VERSION, namespace=NAMESPACE)
            if version["spec"]["verdict"] in ("Passed", "Stock")
        }
        assert served is None or served in self.judged, f"an ungated model is served: {served}"

    def _check_words(self) -> None:
        """No condition says that a version serves which does not, or that all is done while a run is open."""
        writes = self.cluster.writes[self.checked :]
        self.checked = len(self.cluster.writes)
        for write in writes:
            if (write.kind, write.verb) != (kinds.MODEL_REFRESH.kind, "put_status"):
                continue
            told = RefreshStatus.read(write.document["status"])
            held = {item.type: item for item in told.conditions}
            for condition in told.conditions:
                named = re.findall(r"(\S+) (?:serves\b|was chosen by hand|is set in)", condition.message)
                live = told.live.version if told.live else None
                assert set(named) <= {live}, f"{condition.type} says {condition.message!r}, live is {live}"
            is_open = told.run is not None and told.run.outcome is None
            waits = held["Stalled"].status == "True" or held["Suspended"].status == "True"
            waits = waits or told.phase in ("AwaitingApproval", "Deleting")
            assert not is_open or waits or held["Reconciling"].status == "True", (
                f"{told.phase} of an open run is no end"
            )

    def survive(self, key: Key) -> float | None:
        """A pass that may die; the next one goes on."""
        try:
            return self.one_pass(key)
        except CrashError:
            self.cluster.heal()
            return 0.0


def deployment() -> dict[str, Any]:
    """A user's Deployment that mounts the workspace."""
    server = {"name": "server", "image": "server", "volumeMounts": [{"name": "models", "mountPath": "/models"}]}
    volume = {"name": "models", "persistentVolumeClaim": {"claimName": "workspace"}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "chat", "namespace": NAMESPACE, "annotations": {names.ANNOTATION_ALLOW: "*"}},
        "spec": {"replicas": 1, "template": {"metadata": {}, "spec": {"containers": [server], "volumes": [volume]}}},
    }


def deploy(place: World) -> None:
    """The Deployment comes up, unless it is paused or `rollouts` is off."""
    chat = place.cluster.peek(kinds.DEPLOYMENT, namespace=NAMESPACE, name="chat")
    if chat is None:
        return
    if chat["spec"].get("paused") and _is_new(chat):
        controllers.deployment_paused(place.cluster, NAMESPACE, "chat")
    elif place.rollouts:
        controllers.deployment_available(place.cluster, NAMESPACE, "chat")
    else:
        controllers.deployment_progressing(place.cluster, NAMESPACE, "chat")


def _is_new(chat: dict[str, Any]) -> bool:
    """Whether the template has changed since its pods were made."""
    state = chat.get("status", {})
    stale = state.get("observedGeneration", 0) < chat["metadata"]["generation"]
    return bool(stale or state.get("updatedReplicas", 0) < chat["spec"]["replicas"])


def request_of(job: dict[str, Any]) -> stage_request.StageRequest:
    """What a Job was asked."""
    variables = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return stage_request.parse(
        next(item["value"] for item in variables if item["name"] == stage_request.INPUT_VARIABLE)
    )


def nonce_of(job: dict[str, Any]) -> str:
    """What was handed to a Job alone."""
    variables = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return next(str(item["value"]) for item in variables if item["name"] == stage_request.NONCE_VARIABLE)


def answer(request: stage_request.StageRequest, summary: object) -> Result:
    """A success of this stage."""
    return Result(stage=request.stage, run=request.run, attempt=request.attempt, exit_code=ExitCode.OK, summary=summary)


def failing(exit_code: ExitCode, reason: str = "InternalError", message: str = "broken") -> Answer:
    """A stage that fails this way."""

    def fail(request: stage_request.StageRequest) -> Result:
        return Result(
            stage=request.stage,
            run=request.run,
            attempt=request.attempt,
            exit_code=exit_code,
            reason=reason,
            message=message,
        )

    return fail


def preparing(fingerprint: str, *, unchanged: bool = False) -> Answer:
    """Intake that finds this data."""

    def prepare(request: stage_request.StageRequest) -> Result:
        summary = PrepareSummary(
            fingerprint=fingerprint,
            unchanged=unchanged,
            documents=100,
            kept=90,
            tokens=5000,
            replay_tokens=250,
            blocks=10,
        )
        return answer(request, summary)

    return prepare


def warning(said: Answer, text: str) -> Answer:
    """The same answer with something to look at."""
    return lambda request: dataclasses.replace(said(request), warnings=(text,))


def scoring(difference: float, *, error: float = 0.001) -> Answer:
    """An evaluation whose candidate differs by this much in everything."""

    def evaluate(request: stage_request.StageRequest) -> Result:
        score = Score(
            suite="knowledge",
            metric="exact_match",
            items=200,
            candidate=0.5 + difference,
            incumbent=0.5,
            difference=difference,
            error=error,
        )
        summary = EvaluateSummary(
            candidate=request.section.candidate, incumbent=request.section.incumbent, scores=(score,)
        )
        return answer(request, summary)

    return evaluate


def _extract(request: stage_request.StageRequest) -> Result:
    summary = ExtractSummary(
        digest="e" * 64,
        base_fingerprint="b" * 64,
        instruct_fingerprint="a" * 64,
        architecture="LlamaForCausalLM",
        parameters=1000,
        bytes=4000,
        relative_norm=0.1,
    )
    return answer(request, summary)


def _import(request: stage_request.StageRequest) -> Result:
    summary = ImportSummary(digest=STOCK, architecture="LlamaForCausalLM", parameters=1000, bytes=4000)
    return answer(request, summary)


def _train(request: stage_request.StageRequest) -> Result:
    summary = TrainSummary(
        steps=10,
        tokens=5000,
        first_loss=3.0,
        last_loss=1.0,
        seconds=9.0,
        tokens_per_second=555.0,
        start_fingerprint="b" * 64,
    )
    return answer(request, summary)


def _merge(request: stage_request.StageRequest) -> Result:
    digest = (request.run * 7)[:64]
    summary = MergeSummary(digest=digest, parameters=1000, bytes=4000, drift=0.1, residual_norm=0.1, alignment=0.01)
    return answer(request, summary)


def _sweep(request: stage_request.StageRequest) -> Result:
    folders = len(request.section.runs) + len(request.section.versions)
    return answer(request, SweepSummary(folders=folders, bytes=1000 * folders))


_ANSWERS: Final[dict[Stage, Answer]] = {
    Stage.EXTRACT: _extract,
    Stage.IMPORT: _import,
    Stage.PREPARE: preparing("f" * 64),
    Stage.TRAIN: _train,
    Stage.MERGE: _merge,
    Stage.EVALUATE: scoring(0.2),
    Stage.SWEEP: _sweep,
}


def _ended(job: dict[str, Any]) -> bool:
    return any(item["type"] in ("Complete", "Failed") for item in job.get("status", {}).get("conditions") or ())
