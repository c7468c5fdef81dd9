"""The fields of a user's Deployment that the operator owns by server-side apply, and no others.

The container's env entry, one pod-template annotation, two labels: so a Deployment in Git
shows no drift and `kubectl rollout undo` works without the operator (design section 4).
"""

from typing import Any

from modelrefresh.api import names
from modelrefresh.plan.actions import Serve
from modelrefresh.plan.observed import Meta


def build(serve: Serve, *, meta: Meta) -> dict[str, Any]:
    """The server-side apply body that points the Deployment at a version."""
    marks = {names.LABEL_REFRESH: names.short(meta.name)}
    container = {"name": serve.container, "env": [{"name": names.MODEL_VARIABLE, "value": serve.path}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": serve.deployment, "namespace": meta.namespace, "uid": serve.uid, "labels": marks},
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
