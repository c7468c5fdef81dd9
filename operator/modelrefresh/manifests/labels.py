"""Labels and owner references of every child object."""

from typing import Any

from modelrefresh.api import names
from modelrefresh.contract.stage_request import StageRequest
from modelrefresh.plan.observed import Meta


def of_stage(meta: Meta, request: StageRequest, *, kind: str) -> dict[str, str]:
    """Labels of one attempt's Job, pods and Service."""
    return of_child(meta, kind=kind) | {
        names.LABEL_RUN: request.run,
        names.LABEL_STAGE: request.stage.value,
        names.LABEL_ATTEMPT: str(request.attempt),
    }


def of_child(meta: Meta, *, kind: str) -> dict[str, str]:
    """Labels that bind a child to its owner."""
    return {
        "app.kubernetes.io/part-of": names.MANAGER,
        names.LABEL_MANAGED_BY: names.MANAGER,
        names.LABEL_OWNER: names.short(meta.name),
        names.LABEL_OWNER_KIND: kind,
        names.LABEL_OWNER_UID: meta.uid,
    }


def owner(meta: Meta, *, kind: str) -> list[dict[str, Any]]:
    """The controlling owner reference; the garbage collector removes the child with its owner."""
    return [
        {
            "apiVersion": names.API_VERSION,
            "kind": kind,
            "name": meta.name,
            "uid": meta.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
