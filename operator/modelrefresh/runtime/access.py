"""Whether this process may do what it must: kinds that are served, permissions that are granted.

Knows every verb on every kind that the operator uses; the chart's roles grant exactly these.
A lack is said by name and waited out: an operator that comes before its definitions or roles
must not fall into a crash loop.
"""

import asyncio
import logging
from typing import Final

from modelrefresh import errors
from modelrefresh.kube import kinds
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document, Port
from modelrefresh.targets.table import TARGETS

LOG = logging.getLogger(__name__)
_WAIT_SECONDS = 3.0

_WATCH: Final = ("get", "list", "watch")
RULES: Final[tuple[tuple[Kind, str, tuple[str, ...]], ...]] = (
    (kinds.MODEL_REFRESH, "", (*_WATCH, "patch")),
    (kinds.MODEL_REFRESH, "status", ("update",)),
    (kinds.INSTRUCTION_RESIDUAL, "", (*_WATCH, "patch")),
    (kinds.INSTRUCTION_RESIDUAL, "status", ("update",)),
    (kinds.MODEL_VERSION, "", (*_WATCH, "create", "delete")),
    (kinds.MODEL_VERSION, "status", ("update",)),
    (kinds.REFRESH_PROFILE, "", _WATCH),
    (kinds.JOB, "", (*_WATCH, "create", "delete")),
    *((target.KIND, "", target.RIGHTS) for target in TARGETS),
    (kinds.POD, "", ("list",)),
    (kinds.SERVICE, "", ("get", "create")),
    (kinds.CLAIM, "", ("get",)),
    (kinds.NAMESPACE, "", ("get",)),
    (kinds.NETWORK_POLICY, "", ("get", "create")),
    (kinds.EVENT, "", ("list", "create", "patch")),
)
"""Kind, subresource and verbs. Besides: get, create and patch on one Lease in the operator's own namespace."""


async def await_kinds(port: Port, *, namespaces: tuple[str, ...]) -> None:
    """Return when the server serves all of our kinds in any of the namespaces; say which one is missing until then."""
    for kind in kinds.OWN:
        while (lack := await _lack(port, kind, namespaces)) is not None:
            LOG.warning("%s is not served yet, looking again in %.0f s: %s", kind.kind, _WAIT_SECONDS, lack)
            await asyncio.sleep(_WAIT_SECONDS)


async def missing(port: Port, *, namespaces: tuple[str, ...]) -> list[str]:
    """Permissions that are not granted, each as `verb resource (namespace)`; the port must be one without a fence."""
    found = []
    for kind, subresource, verbs in RULES:
        for namespace in namespaces if (kind.namespaced or kind is kinds.NAMESPACE) and namespaces else ("",):
            for verb in verbs:
                if not await _granted(port, kind, subresource, verb=verb, namespace=namespace):
                    resource = "/".join(part for part in (kind.plural, subresource) if part)
                    found.append(f"{verb} {resource} ({namespace or 'whole cluster'})")
    return found


async def report(port: Port, *, namespaces: tuple[str, ...]) -> None:
    """Log every permission that is missing."""
    try:
        for lack in await missing(port, namespaces=namespaces):
            LOG.error("permission is missing: %s; grant it, with the chart by rbac.create", lack)
    except errors.ApiError as error:
        LOG.warning("permissions could not be checked: %s", error)


async def _lack(port: Port, kind: Kind, namespaces: tuple[str, ...]) -> errors.ApiError | None:
    """Why the kind can be listed nowhere; one namespace that is lost says nothing about the others."""
    lack = None
    for namespace in namespaces if namespaces and kind.namespaced else (None,):
        try:
            async for _ in port.pages(kind, namespace=namespace):
                break
        except errors.ApiError as error:
            lack = error
        else:
            return None
    return lack


async def _granted(port: Port, kind: Kind, subresource: str, *, verb: str, namespace: str) -> bool:
    attributes = {
        "group": kind.group,
        "resource": kind.plural,
        "subresource": subresource,
        "verb": verb,
        "namespace": namespace,
    }
    review: Document = {
        "apiVersion": kinds.ACCESS_REVIEW.api_version,
        "kind": kinds.ACCESS_REVIEW.kind,
        "metadata": {},
        "spec": {"resourceAttributes": attributes},
    }
    answer = await port.create(kinds.ACCESS_REVIEW, review)
    return bool(answer.get("status", {}).get("allowed"))
