"""The fields of a user's Deployment that the operator owns by server-side apply, and no others.

The container's env entry, one pod-template annotation, two labels, and who holds it: so a Deployment in Git
shows no drift and `kubectl rollout undo` works without the operator.
"""

from typing import Any

from modelrefresh.api import names
from modelrefresh.plan.actions import Hold, Serve
from modelrefresh.plan.observed import Meta


def hold(action: Hold, *, meta: Meta) -> dict[str, Any]:
    """The merge patch by which a refresh says that it rolls the Deployment; its pods stay as they are."""
    allow = {names.ANNOTATION_ALLOW: action.allow} if action.allow else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": action.deployment,
            "namespace": meta.namespace,
            "uid": action.uid,
            "resourceVersion": action.version,
            "labels": {names.LABEL_REFRESH: names.short(meta.name)},
            "annotations": _holder(meta) | allow,
        },
    }


def _holder(meta: Meta) -> dict[str, str]:
    return {names.ANNOTATION_HOLDER: meta.name, names.ANNOTATION_HOLDER_UID: meta.uid}


def build(serve: Serve, *, meta: Meta) -> dict[str, Any]:
    """The server-side apply body that points the Deployment at a version."""
    labels = {names.LABEL_REFRESH: names.short(meta.name)}
    container = {"name": serve.container, "env": [{"name": names.MODEL_VARIABLE, "value": serve.path}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": serve.deployment,
            "namespace": meta.namespace,
            "uid": serve.uid,
            "labels": labels,
            "annotations": _holder(meta),
        },
        "spec": {
            "template": {
                "metadata": {
                    "annotations": {names.ANNOTATION_DIGEST: serve.digest},
                    "labels": {names.LABEL_VERSION: serve.version},
                },
                "spec": {"containers": [container]},
            }
        },
    }
