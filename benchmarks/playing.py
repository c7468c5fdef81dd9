"""The Job and Deployment controllers, played on the API server: every Job succeeds, every rollout settles, at once.

So a whole refresh can be measured without a node: pods are created as the Job controller would
and end with the answer of their stage as their termination message.
"""

import dataclasses
import datetime
from typing import Any

from modelrefresh import errors
from modelrefresh.contract import result
from modelrefresh.kube import kinds
from modelrefresh.kube.client import Client
from modelrefresh.kube.port import Document
from tests.reconcile import world


class Player:
    """Plays the controllers with the answers of the small world of the pass tests."""

    def __init__(self, client: Client) -> None:
        """Write through this client."""
        self._client = client
        self._answers = world.World().answers

    async def finish(self, job: Document) -> None:
        """The Job's pod runs and succeeds."""
        if job.get("status", {}).get("completionTime") or "deletionTimestamp" in job["metadata"]:
            return
        asked = world.request_of(job)
        message = result.render_short(dataclasses.replace(self._answers[asked.stage](asked), nonce=world.nonce_of(job)))
        now = datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            pod = await self._client.create(kinds.POD, _pod(job))
            await self._client.put_status(kinds.POD, pod | {"status": _ended(pod, message, now)})
            await self._client.put_status(kinds.JOB, job | {"status": _complete(now)})
        except (errors.ConflictError, errors.NotFoundError):
            return  # played already, or deleted meanwhile

    async def settle(self, deployment: Document) -> None:
        """The Deployment's controller has seen the newest template; there is no replica to wait for."""
        generation = deployment["metadata"]["generation"]
        if deployment.get("status", {}).get("observedGeneration", 0) >= generation:
            return
        try:
            await self._client.put_status(kinds.DEPLOYMENT, deployment | {"status": {"observedGeneration": generation}})
        except errors.ConflictError:
            return  # a newer one follows in the watch


def _pod(job: Document) -> Document:
    metadata, template = job["metadata"], job["spec"]["template"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-0",
            "namespace": metadata["namespace"],
            "labels": template["metadata"]["labels"],
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": template["spec"],
    }


def _ended(pod: Document, message: str, now: str) -> dict[str, Any]:
    terminated = {"exitCode": 0, "reason": "Completed", "message": message, "startedAt": now, "finishedAt": now}
    container = pod["spec"]["containers"][0]
    state = {"name": container["name"], "image": container["image"], "imageID": "", "ready": False, "restartCount": 0}
    return {"phase": "Succeeded", "containerStatuses": [{**state, "state": {"terminated": terminated}}]}


def _complete(now: str) -> dict[str, Any]:
    times = {"lastTransitionTime": now, "lastProbeTime": now}
    conditions = [{"type": kind, "status": "True", **times} for kind in ("SuccessCriteriaMet", "Complete")]
    return {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}
