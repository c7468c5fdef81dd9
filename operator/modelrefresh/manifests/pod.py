"""The pod of one stage: what it mounts, what it may do, where it may run.

Meets the `restricted` Pod Security Standard. Everything that can hurt comes from the
profile; nothing of a tenant's spec reaches the pod but the input document and the claims
that its URIs name.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

from modelrefresh.api.spec import ProfileSpec, ProfileStage
from modelrefresh.contract import env
from modelrefresh.contract.env import StageInput
from modelrefresh.plan.actions import StartStage

CONTAINER: Final = "stage"
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


def template(start: StartStage, profile: ProfileSpec, *, labels: dict[str, str], place: Place) -> dict[str, Any]:
    """Pod template of one attempt."""
    stage = profile.stages.get(start.request.stage.value, profile.stage_defaults)
    volumes = _volumes(start.request, profile)
    spec = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": stage.timeout_seconds,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "serviceAccountName": profile.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _pod_security(profile),
        "containers": [_container(start, profile, mounts=[mount for _, mount in volumes], place=place)],
        "volumes": list({volume["name"]: volume for volume, _ in volumes}.values()),
    }
    return {"metadata": {"labels": labels}, "spec": spec | _placement(profile, stage) | _naming(start, place)}


def claims(request: StageInput) -> tuple[str, ...]:
    """Claims that the request's pvc:// URIs name, sorted."""
    return tuple(sorted({uri.removeprefix("pvc://").split("/", 1)[0] for uri in uris(request) if uri[:6] == "pvc://"}))


def uris(record: object) -> Iterator[str]:
    """Every URI in a request, whatever section it stands in."""
    if isinstance(record, str) and "://" in record:
        yield record
    elif isinstance(record, tuple):
        for item in record:
            yield from uris(item)
    elif dataclasses.is_dataclass(record):
        for field in dataclasses.fields(record):
            yield from uris(getattr(record, field.name))


def _container(
    start: StartStage, profile: ProfileSpec, *, mounts: list[dict[str, Any]], place: Place
) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": profile.image,
        "imagePullPolicy": "IfNotPresent",
        "args": [start.request.stage.value],
        "env": _environment(start, profile, place),
        "resources": _resources(start, profile),
        "ports": [{"name": "progress", "containerPort": env.PROGRESS_PORT, "protocol": "TCP"}],
        "volumeMounts": mounts,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _environment(start: StartStage, profile: ProfileSpec, place: Place) -> list[dict[str, Any]]:
    values = {env.INPUT_VARIABLE: env.render(start.request)}
    if start.nodes > 1:
        values[env.MASTER_VARIABLE] = f"{place.job}-0.{place.service}"
    if profile.hub_token_secret is not None:
        values["HF_TOKEN_PATH"] = f"{_HUB_TOKEN}/token"
    # As many threads as the container may use, not as many as the node has.
    threads = {"resourceFieldRef": {"containerName": CONTAINER, "resource": "limits.cpu", "divisor": "1"}}
    plain = [{"name": name, "value": value} for name, value in values.items()]
    return [*plain, {"name": "OMP_NUM_THREADS", "valueFrom": threads}]


def _resources(start: StartStage, profile: ProfileSpec) -> dict[str, Any]:
    stage = profile.stages.get(start.request.stage.value, profile.stage_defaults)
    gpus = {profile.gpu_resource: str(start.gpus)} if start.gpus else {}
    return {"requests": dict(stage.requests) | gpus, "limits": dict(stage.limits) | gpus}


def _volumes(request: StageInput, profile: ProfileSpec) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(volume, mount) pairs; one claim that is workspace and source at once is one volume with two mounts."""
    workspace = _claim("workspace", profile.workspace_claim)
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (workspace, {"name": "workspace", "mountPath": request.workspace})
    ]
    for number, claim in enumerate(claims(request)):
        volume = workspace if claim == profile.workspace_claim else _claim(f"source-{number}", claim)
        pairs.append((volume, {"name": volume["name"], "mountPath": f"{request.sources}/{claim}", "readOnly": True}))
    scratch = {"name": "tmp", "emptyDir": {"sizeLimit": _SCRATCH_LIMIT}}
    memory = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
    pairs += [(scratch, {"name": "tmp", "mountPath": "/tmp"}), (memory, {"name": "shm", "mountPath": "/dev/shm"})]  # noqa: S108 -- the pod's own emptyDirs
    if profile.hub_token_secret is not None:
        token = {"name": "hub-token", "secret": {"secretName": profile.hub_token_secret}}
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
    return {key: value for key, value in wanted.items() if value}


def _naming(start: StartStage, place: Place) -> dict[str, Any]:
    return {"subdomain": place.service} if start.nodes > 1 else {}
