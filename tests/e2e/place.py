"""One namespace of the cluster with everything that a refresh needs, and eyes on it.

Knows how to open and close it, how to read and change objects, and how to wait: a wait that
ends in vain says what stood in the way (status, events, logs). Refuses to know any scenario.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hack.cluster import failures, storage
from hack.cluster.kubectl import Kubectl
from modelrefresh.api import names
from tests.e2e import objects
from tests.jobs import builders, corpora

Document = dict[str, Any]
_POLL_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 500.0
_DOCUMENTS: Final = 80
"""Some seconds of training, so that there is time to do something to it."""
_ITEMS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The project's images by digest."""

    operator: str
    jobs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The namespace, named like its profile, and the folder of its workspace on this machine."""

    namespace: str
    kubectl: Kubectl
    folder: Path
    images: Images

    def furnish(self, pair: builders.Pair, edits: Mapping[str, object] | None = None) -> None:
        """Models, text, questions, the profile with these edits, the residual and the chat server."""
        for source, name in ((pair.base, "base"), (pair.instruct, "instruct")):
            self.bring(source, f"models/{name}")
        self.learn(1)
        questions: list[dict[str, object]] = [
            {"question": f"When was number {number} built?", "answer": str(1000 + number)} for number in range(_ITEMS)
        ]
        corpora.write(self.folder / "evals" / "knowledge.jsonl", questions)
        self.kubectl.apply(
            objects.profile(self.namespace, self.images.jobs, edits),
            objects.residual(self.namespace),
            objects.deployment(self.namespace, self.images.operator),
        )

    def bring(self, source: Path, path: str) -> None:
        """Copy a folder to the workspace; stages have another user id, so everybody may read it."""
        shutil.copytree(source, self.folder / path)
        for item in (self.folder / path).rglob("*"):
            item.chmod(0o755 if item.is_dir() else 0o644)

    def learn(self, day: int, *, documents: int = _DOCUMENTS) -> None:
        """New documents take the place of the old ones."""
        corpora.texts(self.folder / "corpus" / "news.jsonl", corpora.sentences(documents, seed=day))

    def apply(self, *documents: Document) -> None:
        """Create or change objects as a user does."""
        self.kubectl.apply(*documents)

    def patch(self, changes: Document, *, kind: str = "modelrefreshes", name: str = objects.REFRESH) -> None:
        """Merge changes into an object."""
        self._run("patch", kind, name, "--type=merge", f"--patch={json.dumps(changes)}")

    def ask(self, token: str) -> None:
        """Ask for a run by annotation."""
        self.patch({"metadata": {"annotations": {names.ANNOTATION_REFRESH: token}}})

    def approve(self, version: str) -> None:
        """Let a version serve by annotation."""
        self.patch({"metadata": {"annotations": {names.ANNOTATION_APPROVE: version}}})

    def delete(self, kind: str, name: str, *options: str) -> None:
        """Delete an object; without options wait until it is gone."""
        self._run("delete", kind, name, "--timeout=120s", *options)

    def evict(self, pod: str) -> None:
        """Ask for the pod to leave, by the way that drains of nodes go."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        self.kubectl.run("create", "--raw", path, "--filename=-", stdin=json.dumps(body))

    def get(self, kind: str, name: str) -> Document:
        """One object; empty if there is none."""
        text = self._run("get", kind, name, "--ignore-not-found", "--output=json")
        found: Document = json.loads(text) if text.strip() else {}
        return found

    def items(self, kind: str, *, stage: str | None = None, run: str | None = None) -> list[Document]:
        """All objects of a kind, or those of one stage or run."""
        marks = ((names.LABEL_STAGE, stage), (names.LABEL_RUN, run))
        selector = ",".join(f"{label}={value}" for label, value in marks if value)
        found: list[Document] = json.loads(self._run("get", kind, f"--selector={selector}", "--output=json"))["items"]
        return found

    def status(self, name: str = objects.REFRESH) -> Document:
        """The status of a ModelRefresh."""
        found: Document = self.get("modelrefreshes", name).get("status", {})
        return found

    def free_gpus(self) -> int:
        """GPUs of the node that no pod of any namespace holds."""
        [node] = json.loads(self.kubectl.run("get", "nodes", "--output=json"))["items"]
        pods = json.loads(self.kubectl.run("get", "pods", "--all-namespaces", "--output=json"))["items"]
        held = [
            int(container["resources"].get("limits", {}).get(objects.GPU, "0"))
            for pod in pods
            if pod["status"]["phase"] == "Running"
            for container in pod["spec"]["containers"]
        ]
        return int(node["status"]["allocatable"][objects.GPU]) - sum(held)

    def served(self) -> str | None:
        """Digest that the chat server's template names."""
        template = self.get("deployments", objects.DEPLOYMENT)["spec"]["template"]
        digest: str | None = template["metadata"].get("annotations", {}).get(names.ANNOTATION_DIGEST)
        return digest

    def await_server(self) -> None:
        """Wait until the chat server is what its template says, and nothing else."""
        self._run("rollout", "status", f"deployment/{objects.DEPLOYMENT}", "--timeout=120s")

    def answer(self, path: str) -> Document:
        """A file as the chat server gives it to its clients."""
        pods = [pod for pod in self.items("pods") if objects.DEPLOYMENT in pod["metadata"].get("labels", {}).values()]
        [live] = [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        page = f"/api/v1/namespaces/{self.namespace}/pods/{live}:8000/proxy/{path}"
        found: Document = json.loads(self.kubectl.run("get", "--raw", page))
        return found

    def wait(
        self, holds: Callable[[], object], what: str, *, seconds: float = _PATIENCE_SECONDS, poll: float = _POLL_SECONDS
    ) -> None:
        """Wait until something holds; an assertion with everything that can be seen if it does not."""
        give_up = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < give_up, f"not within {seconds:.0f} s: {what}\n{self.explain()}"
            time.sleep(poll)

    def explain(self) -> str:
        """What a person would look at."""
        looks = (
            ("get", "modelrefreshes,instructionresiduals", "--output=yaml", "--show-managed-fields=false"),
            ("get", "jobs,pods,deployments,modelversions", "--output=wide"),
            ("get", "events", "--sort-by=.lastTimestamp"),
            ("logs", "--selector=app.kubernetes.io/part-of=modelrefresh", "--tail=15", "--prefix"),
        )
        return "\n".join(f"--- kubectl {' '.join(look)}\n{self._look(*look)}" for look in looks)

    def _look(self, *arguments: str) -> str:
        try:
            return self._run(*arguments)
        except failures.ClusterError as error:
            return str(error)

    def _run(self, *arguments: str) -> str:
        return self.kubectl.run(*arguments, f"--namespace={self.namespace}")


def create(name: str, kubectl: Kubectl, images: Images) -> Place | None:
    """Make the namespace; None if its workspace is no folder of this machine. What a killed run left goes first."""
    namespace = f"e2e-{name}"
    remove(namespace, kubectl)
    kubectl.apply(objects.namespace(namespace))
    folder = storage.create_workspace(namespace)
    if folder is None:
        remove(namespace, kubectl)
        return None
    return Place(namespace=namespace, kubectl=kubectl, folder=folder, images=images)


def remove(namespace: str, kubectl: Kubectl) -> None:
    """Remove the namespace with everything in it, while the operator is there to let its objects go."""
    if not kubectl.run("get", "namespace", namespace, "--ignore-not-found", "--output=name").strip():
        return
    for kinds in ("modelrefreshes,instructionresiduals", "deployments,jobs,pods"):
        kubectl.run("delete", kinds, "--all", f"--namespace={namespace}", "--timeout=180s")
    storage.remove_workspace(namespace)
    kubectl.run("delete", "namespace", namespace, "--timeout=120s")
    kubectl.run("delete", "refreshprofile", namespace, "--ignore-not-found")
