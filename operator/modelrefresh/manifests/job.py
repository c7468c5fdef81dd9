"""The Job of one attempt, and the headless Service by which the nodes of a ModelRefresh meet.

An attempt never retries by itself: `backoffLimit: 0`, and the failure policy writes exit
code or disruption into the Job's own condition, so that they survive the pod (KEP-3329).
`podReplacementPolicy: Failed` keeps two trainers apart (KEP-3939).
"""

from typing import Any, Final

from modelrefresh.api import names
from modelrefresh.api.profile import ProfileSpec
from modelrefresh.manifests import labels, pod
from modelrefresh.plan.actions import StartStage
from modelrefresh.plan.observed import Meta

_FAILURE_RULES: Final = [
    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    {"action": "FailJob", "onExitCodes": {"containerName": pod.CONTAINER, "operator": "NotIn", "values": [0]}},
    {"action": "FailJob", "onExitCodes": {"containerName": pod.ROOM, "operator": "NotIn", "values": [0]}},
]


def name(start: StartStage, *, meta: Meta) -> str:
    """Name of the attempt's Job."""
    request = start.request
    return names.job_name(
        owner=meta.name, uid=meta.uid, run=request.run, stage=request.stage.value, attempt=request.attempt
    )


def build(start: StartStage, profile: ProfileSpec, *, meta: Meta, kind: str, nonce: str) -> dict[str, Any]:
    """The Job; `kind` is the kind of the owner, `nonce` what its result must carry."""
    marks = labels.of_stage(meta, start.request, kind=kind)
    queue = {names.QUEUE_LABEL: profile.queue} if profile.queue else {}
    spec: dict[str, Any] = {
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": _FAILURE_RULES},
        "template": pod.template(
            start,
            profile,
            labels=marks,
            place=pod.Place(job=name(start, meta=meta), service=_service(meta), nonce=nonce),
        ),
    }
    if start.nodes > 1:
        spec |= {"completions": start.nodes, "parallelism": start.nodes, "completionMode": "Indexed"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name(start, meta=meta),
            "namespace": meta.namespace,
            "labels": marks | queue,
            "annotations": {names.ANNOTATION_OWNER: meta.name, names.ANNOTATION_PROFILE: start.profile},
            "ownerReferences": labels.owner(meta, kind=kind),
        },
        "spec": spec,
    }


def service(start: StartStage, *, meta: Meta, kind: str) -> dict[str, Any]:
    """Headless Service for all attempts of all runs, each of which has host names of its own.

    It resolves pods before they are ready, since rendezvous comes first.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": _service(meta),
            "namespace": meta.namespace,
            "labels": labels.of_child(meta, kind=kind),
            "ownerReferences": labels.owner(meta, kind=kind),
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {names.LABEL_OWNER_UID: meta.uid, names.LABEL_STAGE: start.request.stage.value},
        },
    }


def _service(meta: Meta) -> str:
    return names.service_name(owner=meta.name, uid=meta.uid)
