"""The objects of one scenario: a namespace, its profile, a light chat server, and our kinds over one claim.

The server is `python -m http.server` over the folder of the version it is told to serve, and it
is ready when that folder has a `config.json`: so readiness truly hangs on the version's files.
Knows no cluster.
"""

from collections.abc import Mapping
from typing import Any, Final

from modelrefresh.api import names
from tests import builders

SOURCES: Final = "pvc://workspace"
GPU: Final = "nvidia.com/gpu"
REFRESH: Final = "news"
RESIDUAL: Final = "instruct"
DEPLOYMENT: Final = "chat"
_PORT: Final = 8000
_SERVE: Final = f'exec python -m http.server {_PORT} --directory "${{MODELREFRESH_MODEL:-/workspace/models/instruct}}"'
_LOCKED: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_POD: Final = {
    "automountServiceAccountToken": False,
    "terminationGracePeriodSeconds": 1,
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
}
_STAGE: Final = {
    "requests": {"cpu": "300m", "memory": "64Mi"},
    "limits": {"memory": "3Gi"},
    "timeoutSeconds": 300,
}
_REFRESH: Final = {
    "spec.base.uri": f"{SOURCES}/models/base",
    "spec.residualRef.name": RESIDUAL,
    "spec.data.uri": f"{SOURCES}/corpus",
    "spec.training": {
        "method": "Full",
        "sequenceLength": 32,
        "batchSize": 8,
        "learningRate": "1e-3",
        "epochs": "14",
        "maxTokens": 1_000_000,
        "gpusPerNode": 1,
        "zeroStage": 0,
        "checkpointSeconds": 1,
    },
    "spec.evaluation.suites[0].uri": f"{SOURCES}/evals/knowledge.jsonl",
    "spec.evaluation.gates[0].minDifference": "-1",
    "spec.evaluation.maxNewTokens": 4,
    "spec.rollout": {
        "deployment": {"name": DEPLOYMENT, "container": "server"},
        "progressDeadlineSeconds": 120,
    },
}
"""A tiny random model knows nothing, so by default every candidate may pass."""


def namespace(name: str) -> dict[str, Any]:
    """A namespace under the strictest pod security."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def profile(name: str, image: str, edits: Mapping[str, object] | None = None) -> dict[str, Any]:
    """A profile of small stages."""
    settings = {
        "spec.image": image,
        "spec.stageDefaults": _STAGE,
        "spec.limits": {"gpusPerNode": 1, "nodes": 2, "minCheckpointSeconds": 1},
    }
    return builders.profile({**settings, **(edits or {})}, name=name)


def residual(place: str, edits: Mapping[str, object] | None = None, *, name: str = RESIDUAL) -> dict[str, Any]:
    """The residual of the tiny pair."""
    settings = {
        "metadata.namespace": place,
        "spec.profile": place,
        "spec.base.uri": f"{SOURCES}/models/base",
        "spec.instruct.uri": f"{SOURCES}/models/instruct",
    }
    return builders.residual({**settings, **(edits or {})}, name=name)


def refresh(place: str, edits: Mapping[str, object] | None = None, *, name: str = REFRESH) -> dict[str, Any]:
    """A refresh of the tiny base."""
    settings = {"metadata.namespace": place, "spec.profile": place}
    return builders.refresh({**settings, **_REFRESH, **(edits or {})}, name=name)


def deployment(place: str, image: str) -> dict[str, Any]:
    """The user's chat server, which serves the stock model until it is told otherwise."""
    labels = {"app.kubernetes.io/name": DEPLOYMENT}
    server = {
        "name": "server",
        "image": image,
        "command": ["sh", "-c", _SERVE],
        "ports": [{"name": "http", "containerPort": _PORT}],
        "readinessProbe": {"httpGet": {"path": "/config.json", "port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": _LOCKED,
        "volumeMounts": [{"name": "workspace", "mountPath": "/workspace", "readOnly": True}],
    }
    volume = {"name": "workspace", "persistentVolumeClaim": {"claimName": "workspace", "readOnly": True}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": DEPLOYMENT, "namespace": place, "annotations": {names.ANNOTATION_ALLOW: "*"}},
        "spec": {
            "replicas": 1,
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {**_POD, "containers": [server], "volumes": [volume]},
            },
        },
    }


def occupier(place: str, image: str, *, gpus: int) -> dict[str, Any]:
    """A pod that holds GPUs and does nothing."""
    container = {
        "name": "hold",
        "image": image,
        "command": ["sleep", "infinity"],
        "resources": {"limits": {GPU: str(gpus)}},
        "securityContext": _LOCKED,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "occupier", "namespace": place},
        "spec": {**_POD, "containers": [container]},
    }
