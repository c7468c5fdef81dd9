"""What the Job, Deployment and kubelet sides of Kubernetes would do, one step per call.

Knows how they write Job, pod and Deployment statuses. Nothing happens by itself: a test says
when a pod starts, ends or is lost. These are not writes of the operator.
"""

import hashlib
from typing import Any

from modelrefresh.kube import kinds
from modelrefresh.kube.port import Document
from tests.fakes.cluster import FakeCluster


def start_job(cluster: FakeCluster, namespace: str, name: str) -> list[Document]:
    """The Job's pods run; gives the pods."""
    pods = [
        _pod(cluster, namespace, name, index)
        for index in range(_job(cluster, namespace, name)["spec"].get("completions") or 1)
    ]
    for pod in pods:
        state = {"running": {"startedAt": _time(cluster)}}
        _pod_status(cluster, pod, {"phase": "Running", "containerStatuses": [_container(pod, state)]})
    _job_status(cluster, namespace, name, {"active": len(pods), "ready": len(pods), "startTime": _time(cluster)})
    return pods


def hold_job(cluster: FakeCluster, namespace: str, name: str, *, message: str = "0/1 nodes are available") -> None:
    """The Job's pod finds no place."""
    pod = _pod(cluster, namespace, name, 0)
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    _pod_status(cluster, pod, {"phase": "Pending", "conditions": [condition]})
    _job_status(cluster, namespace, name, {"active": 1, "ready": 0, "startTime": _time(cluster)})


def refuse_image(
    cluster: FakeCluster,
    namespace: str,
    name: str,
    *,
    message: str = "manifest unknown",
    word: str = "ImagePullBackOff",
) -> None:
    """The Job's image cannot be pulled."""
    pod = _pod(cluster, namespace, name, 0)
    state = {"waiting": {"reason": word, "message": message}}
    _pod_status(cluster, pod, {"phase": "Pending", "containerStatuses": [_container(pod, state)]})
    _job_status(cluster, namespace, name, {"active": 1, "ready": 0, "startTime": _time(cluster)})


def refuse_pods(cluster: FakeCluster, namespace: str, name: str, *, message: str, tries: int = 1) -> None:
    """The Job's controller can make no pod: nothing of the Job says so but an event, renewed at every try."""
    job = _job(cluster, namespace, name)
    text = f'Error creating: pods "{name}-{tries:05d}" is {message}'
    _event(cluster, job, reason="FailedCreate", message=text)
    started = job.get("status", {}).get("startTime", _time(cluster))
    _job_status(cluster, namespace, name, {"active": 0, "ready": 0, "startTime": started})


def stick_pod(cluster: FakeCluster, namespace: str, name: str, *, message: str) -> None:
    """The Job's pod has a node, whose kubelet cannot mount a volume of it and says so in an event only."""
    is_new = not _pods(cluster, namespace, name)
    pod = _pod(cluster, namespace, name, 0)
    placed = {"type": "PodScheduled", "status": "True"}
    state = {"waiting": {"reason": "ContainerCreating"}}
    _pod_status(
        cluster, pod, {"phase": "Pending", "conditions": [placed], "containerStatuses": [_container(pod, state)]}
    )
    if is_new:
        _event(cluster, pod, reason="Scheduled", message="assigned", severity="Normal")
    _event(cluster, pod, reason="FailedMount", message=message)
    _job_status(cluster, namespace, name, {"active": 1, "ready": 0, "startTime": _time(cluster)})


def attach_volume(cluster: FakeCluster, namespace: str, name: str, *, volume: str) -> None:
    """A volume of the Job's pod is attached to its node, which an event says."""
    text = f"AttachVolume.Attach succeeded for volume {volume}"
    _event(cluster, _pod(cluster, namespace, name, 0), reason="SuccessfulAttachVolume", message=text, severity="Normal")


def finish_job(cluster: FakeCluster, namespace: str, name: str, *, exit_code: int = 0, message: str = "") -> None:
    """The Job's pods end with this exit code and termination message."""
    _end_pods(cluster, namespace, name, status={}, terminated={"exitCode": exit_code, "message": message})
    _end_job(cluster, namespace, name, failed="BackoffLimitExceeded" if exit_code else None)


def disrupt_job(cluster: FakeCluster, namespace: str, name: str, *, exit_code: int = 12, message: str = "") -> None:
    """The scheduler preempts the Job's pods; they end with this exit code."""
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "preempted",
    }
    terminated = {"exitCode": exit_code, "message": message}
    _end_pods(cluster, namespace, name, status={"conditions": [condition]}, terminated=terminated)
    _end_job(cluster, namespace, name, failed="BackoffLimitExceeded")


def lose_pods(cluster: FakeCluster, namespace: str, name: str) -> None:
    """The Job's pods vanish with their node; the Job fails without a result."""
    for pod in _pods(cluster, namespace, name):
        cluster.remove(kinds.POD, namespace=namespace, name=pod["metadata"]["name"])
    _end_job(cluster, namespace, name, failed="BackoffLimitExceeded")


def exceed_deadline(cluster: FakeCluster, namespace: str, name: str) -> None:
    """The Job's activeDeadlineSeconds are over: its pods are deleted, the Job fails."""
    for pod in _pods(cluster, namespace, name):
        cluster.remove(kinds.POD, namespace=namespace, name=pod["metadata"]["name"])
    _end_job(cluster, namespace, name, failed="DeadlineExceeded")


def deployment_progressing(cluster: FakeCluster, namespace: str, name: str) -> None:
    """The Deployment's controller has seen the newest template; old pods still serve."""
    _deployment_status(cluster, namespace, name, updated=0, progressing=("True", "ReplicaSetUpdated"))


def deployment_available(cluster: FakeCluster, namespace: str, name: str) -> None:
    """All pods of the newest template serve."""
    replicas = _deployment(cluster, namespace, name)["spec"].get("replicas", 1)
    _deployment_status(cluster, namespace, name, updated=replicas, progressing=("True", "NewReplicaSetAvailable"))


def deployment_paused(cluster: FakeCluster, namespace: str, name: str) -> None:
    """The controller has seen the newest template and leaves the old pods as they are."""
    _deployment_status(cluster, namespace, name, updated=0, progressing=("Unknown", "DeploymentPaused"))


def deployment_refused(cluster: FakeCluster, namespace: str, name: str, *, message: str) -> None:
    """The newest ReplicaSet can make no pod; the old pods serve."""
    _deployment_status(cluster, namespace, name, updated=0, progressing=("True", "ReplicaSetUpdated"))
    text = f'pods "{name}-7d4b9c-x2x4z" is {message}'
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": text}
    cluster.edit(
        kinds.DEPLOYMENT,
        lambda live: live["status"]["conditions"].append(condition),
        namespace=namespace,
        name=name,
    )


def deployment_pod(cluster: FakeCluster, namespace: str, name: str, status: Document) -> None:
    """One pod of the newest template, in this state; its earlier state is forgotten."""
    template = _deployment(cluster, namespace, name)["spec"]["template"]
    if cluster.peek(kinds.POD, namespace=namespace, name=f"{name}-new"):
        cluster.remove(kinds.POD, namespace=namespace, name=f"{name}-new")
    metadata = {"name": f"{name}-new", "namespace": namespace, "labels": template["metadata"].get("labels", {})}
    cluster.add(kinds.POD, {"metadata": metadata, "spec": template["spec"], "status": status})


def deployment_stuck(cluster: FakeCluster, namespace: str, name: str) -> None:
    """The newest template did not become available within the Deployment's own deadline; old pods still serve."""
    _deployment_status(cluster, namespace, name, updated=1, progressing=("False", "ProgressDeadlineExceeded"))


def _job(cluster: FakeCluster, namespace: str, name: str) -> Document:
    job = cluster.peek(kinds.JOB, namespace=namespace, name=name)
    assert job is not None, f"no Job {namespace}/{name}"
    return job


def _deployment(cluster: FakeCluster, namespace: str, name: str) -> Document:
    deployment = cluster.peek(kinds.DEPLOYMENT, namespace=namespace, name=name)
    assert deployment is not None, f"no Deployment {namespace}/{name}"
    return deployment


def _pods(cluster: FakeCluster, namespace: str, job: str) -> list[Document]:
    pods = cluster.all(kinds.POD, namespace=namespace)
    return [pod for pod in pods if pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") == job]


def _pod(cluster: FakeCluster, namespace: str, job: str, index: int) -> Document:
    name = f"{job}-{index}"
    existing = cluster.peek(kinds.POD, namespace=namespace, name=name)
    if existing is not None:
        return existing
    owner = _job(cluster, namespace, job)
    template = owner["spec"]["template"]
    labels = {
        **template.get("metadata", {}).get("labels", {}),
        "batch.kubernetes.io/job-name": job,
        "batch.kubernetes.io/controller-uid": owner["metadata"]["uid"],
        "job-name": job,
    }
    reference = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": job,
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": [reference]}
    status = {"phase": "Pending"}
    return cluster.add(kinds.POD, {"metadata": metadata, "spec": template["spec"], "status": status})


def _end_pods(cluster: FakeCluster, namespace: str, job: str, *, status: Document, terminated: dict[str, Any]) -> None:
    if not _pods(cluster, namespace, job):
        start_job(cluster, namespace, job)
    succeeded = terminated["exitCode"] == 0
    terminated = {"reason": "Completed" if succeeded else "Error", "finishedAt": _time(cluster), **terminated}
    for pod in _pods(cluster, namespace, job):
        containers = [_container(pod, {"terminated": dict(terminated)})]
        phase = "Succeeded" if succeeded else "Failed"
        _pod_status(cluster, pod, {**status, "phase": phase, "containerStatuses": containers})


def _container(pod: Document, state: dict[str, Any]) -> dict[str, Any]:
    container = pod["spec"]["containers"][0]
    return {"name": container["name"], "image": container["image"], "state": state, "restartCount": 0}


def _pod_status(cluster: FakeCluster, pod: Document, status: Document) -> None:
    metadata = pod["metadata"]
    cluster.edit(
        kinds.POD, lambda live: live["status"].update(status), namespace=metadata["namespace"], name=metadata["name"]
    )


def _job_status(cluster: FakeCluster, namespace: str, name: str, status: Document) -> None:
    cluster.edit(kinds.JOB, lambda job: job.setdefault("status", {}).update(status), namespace=namespace, name=name)


def _end_job(cluster: FakeCluster, namespace: str, name: str, *, failed: str | None) -> None:
    count = _job(cluster, namespace, name)["spec"].get("completions") or 1
    word, early = ("Failed", "FailureTarget") if failed else ("Complete", "SuccessCriteriaMet")
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": failed or "CompletionsReached",
            "message": f"Job {name}: {failed or 'reached expected number of succeeded pods'}",
            "lastTransitionTime": _time(cluster),
        }
        for kind in (early, word)
    ]
    status: Document = {"active": 0, "ready": 0, "conditions": conditions}
    status["startTime"] = _job(cluster, namespace, name).get("status", {}).get("startTime", _time(cluster))
    if failed:
        status["failed"] = count
    else:
        status.update(succeeded=count, completionTime=_time(cluster))
    _job_status(cluster, namespace, name, status)


def _deployment_status(
    cluster: FakeCluster, namespace: str, name: str, *, updated: int, progressing: tuple[str, str]
) -> None:
    deployment = _deployment(cluster, namespace, name)
    replicas = deployment["spec"].get("replicas", 1)
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": max(replicas, updated),
        "updatedReplicas": updated,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
        "conditions": [
            {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
            {"type": "Progressing", "status": progressing[0], "reason": progressing[1]},
        ],
    }
    cluster.edit(kinds.DEPLOYMENT, lambda live: live.update(status=status), namespace=namespace, name=name)


def _event(cluster: FakeCluster, about: Document, *, reason: str, message: str, severity: str = "Warning") -> None:
    """An event as client-go's recorder writes it: the same words again only renew it."""
    metadata = about["metadata"]
    digest = hashlib.sha256(f"{metadata['uid']} {reason} {message}".encode()).hexdigest()[:16]
    name = f"{metadata['name']}.{digest}"
    if cluster.peek(kinds.EVENT, namespace=metadata["namespace"], name=name):
        cluster.edit(
            kinds.EVENT,
            lambda live: live.update(count=live["count"] + 1, lastTimestamp=_time(cluster)),
            namespace=metadata["namespace"],
            name=name,
        )
        return
    involved = {key: metadata[key] for key in ("namespace", "name", "uid")} | {"kind": about["kind"]}
    document = {"type": severity, "reason": reason, "message": message, "involvedObject": involved, "count": 1}
    times = {"firstTimestamp": _time(cluster), "lastTimestamp": _time(cluster)}
    cluster.add(kinds.EVENT, {"metadata": {"name": name, "namespace": metadata["namespace"]}, **document, **times})


def _time(cluster: FakeCluster) -> str:
    return cluster.now().strftime("%Y-%m-%dT%H:%M:%SZ")
