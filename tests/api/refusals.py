"""Bad objects, and what must be said of each: one table for parse() and for a real API server.

A row is an object of the builders with one edit; the fault must name the edited field (or
`names`). `says` is demanded of both readers, `server` only of the API server, whose wording
of plain schema faults is not ours. Last stands what both must take.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelrefresh.api import names
from tests import builders
from tests.builders import REMOVED

_NOT_CLAIM: Final = "is not pvc://CLAIM/PATH"
_NOT_HUB: Final = "is not hf://ORG/NAME@REVISION"
_HEX: Final = "a" * 40
_QA: Final = {"name": "other", "uri": "pvc://evals/other.jsonl", "task": "question-answering"}
_GATE: Final = {"suite": "knowledge", "metric": "exact_match", "minDifference": "0"}
_SUITE: Final = "spec.evaluation.suites[0]"
_GATE_0: Final = "spec.evaluation.gates[0]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One bad object."""

    id: str
    kind: str
    edits: Mapping[str, object]
    says: str
    server: str
    names: str

    def document(self) -> dict[str, Any]:
        """The bad object."""
        return _BUILD[self.kind](self.edits)


_BUILD: Final = {
    names.REFRESH: builders.refresh,
    names.RESIDUAL: builders.residual,
    names.PROFILE: builders.profile,
    names.MODEL_VERSION: builders.version,
}


def _row(  # noqa: PLR0913 -- a row of a table
    id_: str,
    edits: Mapping[str, object],
    says: str = "",
    *,
    server: str = "",
    at: str = "",
    kind: str = names.REFRESH,
) -> Refusal:
    return Refusal(id=id_, kind=kind, edits=edits, says=says, server=server, names=at or next(iter(edits)))


def _ires(id_: str, edits: Mapping[str, object], says: str = "", *, server: str = "", at: str = "") -> Refusal:
    return _row(id_, edits, says, server=server, at=at, kind=names.RESIDUAL)


def _rprof(id_: str, edits: Mapping[str, object], says: str = "", *, server: str = "", at: str = "") -> Refusal:
    return _row(id_, edits, says, server=server, at=at, kind=names.PROFILE)


_SOURCES: Final = (
    _row(
        "s3 source", {"spec.base.uri": "s3://b/base"}, '"s3://b/base": s3:// is not supported yet; use pvc:// or hf://'
    ),
    _row("http source", {"spec.data.uri": "http://host/x"}, "has no known scheme; use pvc://CLAIM/PATH"),
    _row("plain path", {"spec.data.uri": "/data/news"}, '"/data/news" has no known scheme'),
    _row("claim without path", {"spec.base.uri": "pvc://models"}, _NOT_CLAIM),
    _row("claim in capitals", {"spec.base.uri": "pvc://Models/base"}, '"pvc://Models/base" is not pvc://CLAIM/PATH'),
    _row("claim that climbs", {"spec.data.uri": "pvc://corpus/../secrets"}, _NOT_CLAIM),
    _row("claim that ends in dots", {"spec.data.uri": "pvc://corpus/a/.."}, _NOT_CLAIM),
    _row("claim with empty part", {"spec.data.uri": "pvc://corpus//news"}, _NOT_CLAIM),
    _row("claim with space", {"spec.data.uri": "pvc://corpus/my news"}, _NOT_CLAIM),
    _row("claim with expansion", {"spec.data.uri": "pvc://corpus/$(HF_TOKEN)"}, _NOT_CLAIM),
    _row("hub by branch", {"spec.base.uri": "hf://meta/llama@main"}, "REVISION is a full commit hash"),
    _row("hub by short hash", {"spec.base.uri": "hf://meta/llama@abc1234"}, _NOT_HUB),
    _row("hub without revision", {"spec.base.uri": "hf://meta/llama"}, _NOT_HUB),
    _row("hub without organisation", {"spec.base.uri": f"hf://llama@{_HEX}"}, _NOT_HUB),
    _row("source too long", {"spec.base.uri": "pvc://models/" + "a" * 500}, server="Too long"),
    _row("source without uri", {"spec.base": {}}, server="Required value", at="spec.base.uri"),
    _row("replay from s3", {"spec.data.replay": {"uri": "s3://b/x"}}, "s3:// is not", at="spec.data.replay.uri"),
    _row("suite from s3", {f"{_SUITE}.uri": "s3://b/x"}, "s3:// is not supported yet"),
    _ires("instruct from s3", {"spec.instruct.uri": "s3://b/x"}, "s3:// is not supported yet"),
    _ires("instruct is base", {"spec.instruct.uri": "pvc://models/base"}, "instruct is the same as base"),
    _ires("residual without instruct", {"spec.instruct": REMOVED}, server="Required value"),
)

_SHAPES: Final = (
    _row("no base", {"spec.base": REMOVED}, server="Required value"),
    _row("no residual", {"spec.residualRef": REMOVED}, server="Required value"),
    _row("no data", {"spec.data": REMOVED}, server="Required value"),
    _row("no evaluation", {"spec.evaluation": REMOVED}, server="Required value"),
    _row("no rollout", {"spec.rollout": REMOVED}, server="Required value"),
    _row("no target name", {"spec.rollout.deployment.name": REMOVED}, server="Required value"),
    _row("misspelt section", {"spec.traning": {"nodes": 2}}, server="unknown field"),
    _row("misspelt field", {"spec.training.gpuPerNode": 2}, server="unknown field"),
    _row("profile in capitals", {"spec.profile": "GPU"}, server="should match"),
    _row("residual name empty", {"spec.residualRef.name": ""}, server="at least 1 chars"),
    _row("container name too long", {"spec.rollout.deployment.container": "c" * 64}, server="Too long"),
    _row("suspend as text", {"spec.suspend": "yes"}, server="must be of type boolean"),
    _row("text field empty", {"spec.data.textField": ""}, server="at least 1 chars"),
    _row("text field that expands", {"spec.data.textField": "$(HF_TOKEN)"}, server="should match"),
    _row("profile with empty label", {"spec.profile": "gpu..large"}, server="should match"),
    _row("replay from nowhere", {"spec.data.replay": {"percent": 5}}, "either a uri or generate: true",
         at="spec.data.replay.uri"),
    _row("replay from both", {"spec.data.replay": {"uri": "pvc://c/x", "generate": True}},
         "either a uri or generate: true", at="spec.data.replay.uri"),
    _row("replay above half", {"spec.data.replay": {"uri": "pvc://c/x", "percent": 51}},
         server="less than or equal to 50", at="spec.data.replay.percent"),
    _row("replay of nothing", {"spec.data.replay": {"uri": "pvc://c/x", "percent": 0}},
         server="greater than or equal to 1", at="spec.data.replay.percent"),
)  # fmt: skip

_TRAINING: Final = (
    _row("strategy unknown", {"spec.training.strategy": "Setting2"}, server='supported values: "Residual", "Direct"'),
    _row("method unknown", {"spec.training.method": "QLoRA"}, server='supported values: "LoRA", "Full"'),
    _row("tokens none", {"spec.training.maxTokens": 0}, server="greater than or equal to 1"),
    _row("tokens as text", {"spec.training.maxTokens": "100M"}, server="must be of type integer"),
    _row("tokens less than a block", {"spec.training.maxTokens": 1000}, "maxTokens is less than sequenceLength"),
    _row("sequence too short", {"spec.training.sequenceLength": 8}, server="greater than or equal to 16"),
    _row("sequence too long", {"spec.training.sequenceLength": 200_000}, server="less than or equal to 131072"),
    _row("learning rate as number", {"spec.training.learningRate": 2e-5}, server="must be of type string"),
    _row("learning rate zero", {"spec.training.learningRate": "0"}, '"0" is not a decimal number more than 0 and'),
    _row("learning rate as word", {"spec.training.learningRate": "fast"}, '"fast" is not a decimal number'),
    _row("learning rate negative", {"spec.training.learningRate": "-1e-5"}, "is not a decimal number more than 0"),
    _row("epochs none", {"spec.training.epochs": "0.0"}, "is not a decimal number more than 0 and at most 100"),
    _row("epochs too many", {"spec.training.epochs": "101"}, "is not a decimal number more than 0 and at most 100"),
    _row("batch of none", {"spec.training.batchSize": 0}, server="greater than or equal to 1"),
    _row("batch too big", {"spec.training.batchSize": 4096}, "lower batchSize and raise gradientAccumulation"),
    _row("accumulation none", {"spec.training.gradientAccumulation": 0}, server="greater than or equal to 1"),
    _row("nodes none", {"spec.training.nodes": 0}, server="greater than or equal to 1"),
    _row("nodes too many", {"spec.training.nodes": 65}, server="less than or equal to 64"),
    _row("gpus negative", {"spec.training.gpusPerNode": -1}, server="greater than or equal to 0"),
    _row("gpus too many", {"spec.training.gpusPerNode": 17}, server="less than or equal to 16"),
    _row("zero stage unknown", {"spec.training.zeroStage": 4}, server="less than or equal to 3"),
    _row("floor of another schedule", {"spec.training.minLearningRateRatio": "0.1"}, "is of Cosine alone"),
    _row("decay of another schedule", {"spec.training.decayRatio": "0.1"}, "is of WarmupStableDecay alone"),
    _row("decay of no step",
         {"spec.training.decayRatio": "0", "spec.training.learningRateSchedule": "WarmupStableDecay"},
         '"0" is not a decimal number more than 0'),
    _row("warm-up and decay too long",
         {"spec.training.warmupRatio": "0.9", "spec.training.learningRateSchedule": "WarmupStableDecay"},
         "are more than all steps together"),
    _row("rank none", {"spec.training.lora.rank": 0}, server="greater than or equal to 1"),
    _row("seed negative", {"spec.training.seed": -1}, server="greater than or equal to 0"),
    _row("scale beyond two", {"spec.residual.scale": "2.1"}, '"2.1" is not a decimal number from 0 to 2'),
    _row("scale negative", {"spec.residual.scale": "-0.5"}, "is not a decimal number from 0 to 2"),
    _row("scale with nothing to scale", {"spec.residual.scale": "0.5", "spec.training.strategy": "Direct"},
         "training.strategy Direct adds no residual"),
)  # fmt: skip

_EVALUATION: Final = (
    _row("no suites", {"spec.evaluation.suites": []}, server="at least 1 items"),
    _row("no gates", {"spec.evaluation.gates": []}, server="at least 1 items"),
    _row("too many suites", {"spec.evaluation.suites": [{**_QA, "name": f"s{n}"} for n in range(9)]},
         server="at most 8"),
    _row("too many gates", {"spec.evaluation.gates": [_GATE] * 13}, server="at most 12"),
    _row("suite twice", {"spec.evaluation.suites[1]": {**_QA, "name": "knowledge"}}, "Duplicate value",
         at="spec.evaluation.suites"),
    _row("suite without task", {f"{_SUITE}.task": REMOVED}, server="Required value"),
    _row("task unknown", {f"{_SUITE}.task": "perplexity"}, server='supported values: "question-answering"'),
    _row("suite name with space", {f"{_SUITE}.name": "new knowledge", f"{_GATE_0}.suite": "x"}, server="should match"),
    _row("gate of no suite", {f"{_GATE_0}.suite": "knowlege"},
         'gates[0].suite: "knowlege" is not one of the suites: knowledge', at="spec.evaluation.gates"),
    _row("second gate of no suite", {
        "spec.evaluation.suites[1]": _QA, "spec.evaluation.gates[1]": {**_GATE, "suite": "retaind"}},
         'gates[1].suite: "retaind" is not one of the suites: knowledge, other', at="spec.evaluation.gates"),
    _row("metric of another task", {f"{_GATE_0}.metric": "follows"},
         'gates[0].metric: "follows" is no metric of suite "knowledge"; question-answering yields exact_match',
         at="spec.evaluation.gates"),
    _row("metric unknown", {f"{_GATE_0}.metric": "bleu"}, '"bleu" is no metric of suite', at="spec.evaluation.gates"),
    _row("versus unknown", {f"{_GATE_0}.versus": "Base"}, server='supported values: "Incumbent", "Absolute"'),
    _row("incumbent without difference", {f"{_GATE_0}.minDifference": REMOVED}, "versus Incumbent needs minDifference"),
    _row("incumbent by word without difference",
         {f"{_GATE_0}.minDifference": REMOVED, f"{_GATE_0}.versus": "Incumbent"},
         "versus Incumbent needs minDifference", at=f"{_GATE_0}.minDifference"),
    _row("incumbent with score", {f"{_GATE_0}.minScore": "0.5"}, "minScore belongs to versus Absolute"),
    _row("absolute without score", {f"{_GATE_0}.versus": "Absolute"}, "versus Absolute needs minScore",
         at=f"{_GATE_0}.minScore"),
    _row("absolute with difference", {f"{_GATE_0}.minDifference": "0", f"{_GATE_0}.versus": "Absolute",
         f"{_GATE_0}.minScore": "0.5"}, "minDifference belongs to versus Incumbent"),
    _row("difference beyond one", {f"{_GATE_0}.minDifference": "1.5"}, "is not a decimal number from -1 to 1"),
    _row("difference in percent", {f"{_GATE_0}.minDifference": "2%"}, '"2%" is not a decimal number from -1 to 1'),
    _row("score in percent", {f"{_GATE_0}.minScore": "60", f"{_GATE_0}.versus": "Absolute",
         f"{_GATE_0}.minDifference": REMOVED}, '"60" is not a decimal number from 0 to 1'),
    _row("confidence certain", {"spec.evaluation.confidence": "1"}, '"1" is not a decimal number at least 0.5 and'),
    _row("confidence of a coin", {"spec.evaluation.confidence": "0.3"}, "at least 0.5 and less than 1"),
    _row("confidence in percent", {"spec.evaluation.confidence": "95"}, '"95" is not a decimal number at least 0.5'),
    _row("items none", {"spec.evaluation.maxItems": 0}, server="greater than or equal to 1"),
    _row("answers of nothing", {"spec.evaluation.maxNewTokens": 0}, server="greater than or equal to 1"),
)  # fmt: skip

_DEV: Final = {"name": "dev", "uri": "pvc://evals/dev.jsonl", "task": "question-answering"}
_SEARCH: Final = {"scales": ["0.6", "1.0"], "suites": [_DEV]}

_SUM: Final = (
    _row("transfer unknown", {"spec.residualRef.transfer": "Any", "spec.rollout.stock": "Instruct"},
         server='supported values: "SameFamily"'),
    _row("transfer without stock", {"spec.residualRef.transfer": "SameFamily"},
         "say what serves before the first candidate", at="spec.rollout.stock"),
    _row("stock transferred without transfer", {"spec.rollout.stock": "Transferred"}, "needs residualRef.transfer"),
    _row("stock unknown", {"spec.rollout.stock": "Base"}, server='"Instruct", "Transferred", "None"'),
    _row("residual again", {"spec.residuals": [{"name": "instruct"}]}, "names the residual of residualRef again"),
    _row("residual added twice", {"spec.residuals": [{"name": "safety"}, {"name": "safety"}]}, "Duplicate value"),
    _row("too many residuals", {"spec.residuals": [{"name": f"r{n}"} for n in range(5)]}, server="at most 4"),
    _row("factor of an added residual", {"spec.residuals": [{"name": "safety", "scale": "3"}]},
         '"3" is not a decimal number from 0 to 2', at="spec.residuals[0].scale"),
    _row("factor of no tensors", {"spec.residual.scales": [{"tensors": "", "scale": "1"}]},
         server="at least 1 chars", at="spec.residual.scales[0].tensors"),
    _row("tensors by class", {"spec.residual.scales": [{"tensors": "[ab]", "scale": "1"}]},
         server="should match", at="spec.residual.scales[0].tensors"),
    _row("search of one factor", {"spec.residual.search": {**_SEARCH, "scales": ["1.0"]}},
         server="at least 2 items", at="spec.residual.search.scales"),
    _row("search of a factor in percent", {"spec.residual.search": {**_SEARCH, "scales": ["60%", "1"]}},
         '"60%" is not a decimal number from 0 to 2', at="spec.residual.search.scales[0]"),
    _row("search of one factor twice", {"spec.residual.search": {**_SEARCH, "scales": ["1", "1.0", "0.8"]}},
         "a factor stands twice", at="spec.residual.search.scales"),
    _row("search without questions", {"spec.residual.search": {**_SEARCH, "suites": []}},
         server="at least 1 items", at="spec.residual.search.suites"),
    _row("search by the gates' questions",
         {"spec.residual.search": {**_SEARCH, "suites": [{**_DEV, "uri": "pvc://evals/knowledge.jsonl"}]}},
         "must be other questions than those of the evaluation"),
    _row("search by the gates' questions with a slash",
         {"spec.residual.search": {**_SEARCH, "suites": [{**_DEV, "uri": "pvc://evals/knowledge.jsonl/"}]}},
         "must be other questions than those of the evaluation"),
    _row("search by one place twice",
         {"spec.residual.search": {**_SEARCH, "suites": [_DEV, {**_DEV, "name": "more", "uri": f"{_DEV['uri']}/"}]}},
         "names one place twice", at="spec.residual.search.suites"),
    _row("search under the name of a gate's suite",
         {"spec.residual.search": {**_SEARCH, "suites": [{**_DEV, "name": "knowledge"}]}},
         "must be other questions than those of the evaluation"),
    _row("search beside a factor", {"spec.residual.search": _SEARCH, "spec.residual.scale": "0.5"},
         "residual.search chooses the factor", at="spec.residual.scale"),
    _row("direct with more residuals", {"spec.training.strategy": "Direct", "spec.residuals": [{"name": "safety"}]},
         "Direct adds no residual; leave out"),
    _row("direct with a search", {"spec.training.strategy": "Direct", "spec.residual.search": _SEARCH},
         "Direct adds no residual; leave out"),
    _row("average of all", {"spec.average.previous": "1"}, '"1" is not a decimal number more than 0 and less than 1'),
    _row("average of nothing", {"spec.average.previous": "0"}, '"0" is not a decimal number more than 0'),
)  # fmt: skip

_OPERATION: Final = (
    _row("approval unknown", {"spec.rollout.approval": "Auto"}, server='supported values: "Automatic", "Manual"'),
    _row("deadline too short", {"spec.rollout.progressDeadlineSeconds": 5}, server="greater than or equal to 10"),
    _row("schedule of four fields", {"spec.triggers.schedule": "0 3 * * "}, server="at least 9 chars"),
    _row("schedule by name", {"spec.triggers.schedule": "@every 30m"}, server="should match"),
    _row("schedule of six fields", {"spec.triggers.schedule": "0 0 3 * * 0"}, server="should match"),
    _row("time zone with space", {"spec.triggers.timeZone": "Asia / Tokyo"}, server="should match"),
    _row("versions none", {"spec.retain.versions": 0}, server="greater than or equal to 1"),
    _row("runs too many", {"spec.retain.runs": 51}, server="less than or equal to 50"),
)

_PROFILE: Final = (
    _rprof("no image", {"spec.image": REMOVED}, server="Required value"),
    _rprof("image by tag", {"spec.image": "registry.test/jobs:v1"}, '"registry.test/jobs:v1" is not pinned; use'),
    _rprof("stage unknown", {"spec.stages": {"trian": {}}}, "stages are: extract, import, prepare, train"),
    _rprof("quantity in words", {"spec.stageDefaults.limits": {"memory": "six GB"}}, server="should match",
           at="spec.stageDefaults.limits.memory"),
    _rprof("stage without time", {"spec.stageDefaults.timeoutSeconds": 0}, server="greater than or equal to 10"),
    _rprof("gpu limit negative", {"spec.limits.gpusPerNode": -1}, server="greater than or equal to 0"),
    _rprof("attempts none", {"spec.limits.attempts": 0}, server="greater than or equal to 1"),
    _rprof("no sources", {"spec.allowedSources": []}, server="at least 1 items"),
    _rprof("sources of http", {"spec.allowedSources": ["http://"]}, server="should match", at="spec.allowedSources[0]"),
    _rprof("root", {"spec.runAsUser": 0}, server="greater than or equal to 1"),
    _rprof("gpu resource without domain", {"spec.gpuResource": "gpu"}, server="should match"),
    _rprof("gpu memory in words", {"spec.gpuMemory": "a lot"}, server="should match"),
    _rprof("gpu memory without unit", {"spec.gpuMemory": "80"}, server="should match"),
    _rprof("toleration of all by equality", {"spec.stageDefaults.tolerations": [{"operator": "Equal"}]},
           "a toleration without key", at="spec.stageDefaults.tolerations[0].key"),
    _rprof("toleration of nothing", {"spec.stageDefaults.tolerations": [{"effect": "NoSchedule"}]},
           "a toleration without key", at="spec.stageDefaults.tolerations[0].key"),
    _rprof("toleration with value", {
        "spec.stageDefaults.tolerations": [{"key": "gpu", "operator": "Exists", "value": "yes"}]},
           "operator Exists takes no value", at="spec.stageDefaults.tolerations[0].value"),
)  # fmt: skip

REFUSALS: Final = (*_SOURCES, *_SHAPES, *_TRAINING, *_EVALUATION, *_SUM, *_OPERATION, *_PROFILE)

EMPTY_LISTS: Final = {"spec.training.strategy": "Direct", "spec.residuals": [], "spec.residual.scales": []}
"""Edits that both readers take: an empty list is as good as none."""
