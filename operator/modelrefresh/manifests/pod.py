"""The pod of one stage: what it mounts, what it may do, where it may run.

Meets the `restricted` Pod Security Standard. The stage sees the workspace read-only, but for the
folders in which it writes (docs/decisions/0024), and a Secret only where its sources need it.
Everything that can hurt comes from the profile; nothing of a tenant's spec reaches the pod but the
input document and the claims that its URIs name.
"""

import dataclasses
from typing import Any, Final

from modelrefresh.api import names
from modelrefresh.api.profile import ProfileSpec, ProfileStage
from modelrefresh.contract import artifacts, sections, stage_request, uris
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.manifests import network
from modelrefresh.plan.actions import StartStage

CONTAINER: Final = "stage"
ROOM: Final = "room"
"""The init container that makes the stage's folders."""
_WORKSPACE: Final = "workspace"
_LOCKED: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_REQUESTS: Final = {"cpu": "500m", "memory": "2Gi", "ephemeral-storage": "1Gi"}
_LIMITS: Final = {"memory": "64Gi", "ephemeral-storage": "32Gi"}
"""For what a profile does not name: content that takes without end is ended, whole models on a node are not.

No limit of processor time: it is compressible, and a throttled stage only holds its GPUs for longer.
"""
_ROOM_RESOURCES: Final = {
    "requests": {"cpu": "10m", "memory": "64Mi", "ephemeral-storage": "1Mi"},
    "limits": {"memory": "256Mi", "ephemeral-storage": "16Mi"},
}
_GRACE_SECONDS: Final = 120
"""Time to save a checkpoint between SIGTERM and SIGKILL."""
_SCRATCH_LIMIT: Final = "8Gi"
_HUB_TOKEN: Final = "/secrets/hub"  # noqa: S105 -- a folder


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the pods of several nodes find each other."""

    job: str
    """Name of the Job; with the number of a pod its host name."""
    service: str
    """Headless Service under which host names resolve."""
    nonce: str
    """What the attempt's result must carry."""


def template(start: StartStage, profile: ProfileSpec, *, labels: dict[str, str], place: Place) -> dict[str, Any]:
    """Pod template of one attempt."""
    stage = profile.stages.get(start.request.stage.value, profile.stage_defaults)
    volumes = _volumes(start.request, profile)
    mounts = [mount for _, mount in volumes]
    spec = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": stage.timeout_seconds,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "serviceAccountName": profile.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _pod_security(profile),
        "initContainers": [_room(start, profile, place)],
        "containers": [_container(start, profile, mounts=mounts, place=place)],
        "volumes": list({volume["name"]: volume for volume, _ in volumes}.values()),
    }
    marks = labels | ({names.LABEL_EGRESS: network.HUB} if reads_hub(start.request) else {})
    return {"metadata": {"labels": marks}, "spec": spec | _placement(profile, stage) | _naming(start, place)}


def claims(request: StageRequest) -> tuple[str, ...]:
    """Claims that the request's pvc:// URIs name, sorted."""
    return tuple(sorted({claim for claim in map(uris.claim_of, sections.uris_of(request.section)) if claim}))


def _container(
    start: StartStage, profile: ProfileSpec, *, mounts: list[dict[str, Any]], place: Place
) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": profile.image,
        "imagePullPolicy": "IfNotPresent",
        "args": [start.request.stage.value],
        "env": _settings(start, profile, place),
        "resources": _resources(start, profile),
        "ports": [{"name": "progress", "containerPort": stage_request.PROGRESS_PORT, "protocol": "TCP"}],
        "volumeMounts": mounts,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _LOCKED,
    }


def _room(start: StartStage, profile: ProfileSpec, place: Place) -> dict[str, Any]:
    """The container that makes the folders in which the stage may write; it alone sees the workspace writable."""
    return {
        "name": ROOM,
        "image": profile.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "modelrefresh_jobs.attempt.make_folders"],
        "args": [start.request.workspace, *_writable(start.request)],
        "env": _environment(start, place),
        "resources": _ROOM_RESOURCES,
        "volumeMounts": [{"name": _WORKSPACE, "mountPath": start.request.workspace}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _LOCKED,
    }


def _environment(start: StartStage, place: Place) -> list[dict[str, Any]]:
    values = {
        stage_request.INPUT_VARIABLE: stage_request.render(start.request),
        stage_request.NONCE_VARIABLE: place.nonce,
    }
    if start.nodes > 1:
        values[stage_request.MASTER_VARIABLE] = f"{place.job}-0.{place.service}"
    return [{"name": name, "value": value} for name, value in values.items()]


def _settings(start: StartStage, profile: ProfileSpec, place: Place) -> list[dict[str, Any]]:
    token = _token_of(start.request, profile)
    path = [{"name": "HF_TOKEN_PATH", "value": f"{_HUB_TOKEN}/token"}] if token else []
    # As many threads as the container may use, not as many as the node has.
    threads = {"resourceFieldRef": {"containerName": CONTAINER, "resource": "limits.cpu", "divisor": "1"}}
    return [*_environment(start, place), *path, {"name": "OMP_NUM_THREADS", "valueFrom": threads}]


def _resources(start: StartStage, profile: ProfileSpec) -> dict[str, Any]:
    stage = profile.stages.get(start.request.stage.value, profile.stage_defaults)
    gpus = {profile.gpu_resource: str(start.gpus)} if start.gpus else {}
    named = {*stage.requests, *stage.limits}
    requests, limits = ({key: value for key, value in one.items() if key not in named} for one in (_REQUESTS, _LIMITS))
    return {"requests": requests | dict(stage.requests) | gpus, "limits": limits | dict(stage.limits) | gpus}


def _writable(request: StageRequest) -> tuple[str, ...]:
    return (*artifacts.writable(request), *((artifacts.HUB_CACHE,) if reads_hub(request) else ()))


def reads_hub(request: StageRequest) -> bool:
    """Whether the stage fetches from the hub, or may have to."""
    return any(uri.startswith(uris.HUB.prefix) for uri in sections.uris_of(request.section))


def _token_of(request: StageRequest, profile: ProfileSpec) -> str | None:
    """The Secret that this stage needs: none where nothing is fetched."""
    return profile.hub_token_secret if reads_hub(request) else None


def _volumes(request: StageRequest, profile: ProfileSpec) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(volume, mount) pairs; one claim that is workspace and source at once is one volume with two mounts."""
    workspace = _claim(_WORKSPACE, profile.workspace_claim)
    whole = {"name": _WORKSPACE, "mountPath": request.workspace, "readOnly": True}
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = [(workspace, whole)]
    for folder in _writable(request):
        path = f"{request.workspace}/{folder}"
        pairs.append((workspace, {"name": _WORKSPACE, "mountPath": path, "subPath": folder}))
    for number, claim in enumerate(claims(request)):
        volume = workspace if claim == profile.workspace_claim else _claim(f"source-{number}", claim)
        pairs.append((volume, {"name": volume["name"], "mountPath": f"{request.sources}/{claim}", "readOnly": True}))
    scratch = {"name": "tmp", "emptyDir": {"sizeLimit": _SCRATCH_LIMIT}}
    memory = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
    pairs += [(scratch, {"name": "tmp", "mountPath": "/tmp"}), (memory, {"name": "shm", "mountPath": "/dev/shm"})]  # noqa: S108 -- the pod's own emptyDirs
    if secret := _token_of(request, profile):
        token = {"name": "hub-token", "secret": {"secretName": secret}}
        pairs.append((token, {"name": "hub-token", "mountPath": _HUB_TOKEN, "readOnly": True}))
    return pairs


def _claim(name: str, claim: str) -> dict[str, Any]:
    return {"name": name, "persistentVolumeClaim": {"claimName": claim}}


def _pod_security(profile: ProfileSpec) -> dict[str, Any]:
    security: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if profile.run_as_user is not None:
        security["runAsUser"] = profile.run_as_user
    if profile.fs_group is not None:
        security |= {"fsGroup": profile.fs_group, "fsGroupChangePolicy": "OnRootMismatch"}
    return security


def _placement(profile: ProfileSpec, stage: ProfileStage) -> dict[str, Any]:
    tolerations = [toleration.model_dump(by_alias=True, exclude_none=True) for toleration in stage.tolerations]
    wanted = {
        "nodeSelector": dict(stage.node_selector),
        "tolerations": tolerations,
        "imagePullSecrets": [{"name": name} for name in profile.image_pull_secrets],
        "priorityClassName": profile.priority_class,
        "runtimeClassName": profile.runtime_class,
    }
    user_namespace = {} if profile.host_users is None else {"hostUsers": profile.host_users}
    return {key: value for key, value in wanted.items() if value} | user_namespace


def _naming(start: StartStage, place: Place) -> dict[str, Any]:
    return {"subdomain": place.service} if start.nodes > 1 else {}
