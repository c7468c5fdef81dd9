"""What stands before the first refresh besides the seed: namespaces, operator, chat server.

Each step may be repeated; what is there already is left as it is or brought up to date.
Objects of an earlier demo are removed first, its seed is kept.
"""

import subprocess
import time

from examples.demo import kubectl, manifests, screen, troubles
from hack.cluster import facts

CHART = manifests.FOLDER.parent / "charts" / "modelrefresh"
_RELEASE = "modelrefresh"
_OPERATOR_LOOKS = (
    f"get pods --namespace={kubectl.OPERATOR_NAMESPACE}",
    f"logs --namespace={kubectl.OPERATOR_NAMESPACE} deployment/{_RELEASE} --tail=30",
)
_SERVING_LOOKS = (
    f"get pods --namespace={kubectl.NAMESPACE}",
    f"logs --namespace={kubectl.NAMESPACE} deployment/chat --tail=30",
)


def install(client: kubectl.Kubectl, cluster: facts.Facts, *, image: str) -> None:
    """The operator by its chart, two replicas, both namespaces under the restricted pod security."""
    client.run("apply", f"--filename={manifests.FOLDER}/demo/namespaces.yaml")
    repository, digest = image.rsplit("@", 1)
    registry, repository = repository.split("/", 1)
    values = {"image.registry": registry, "image.repository": repository, "image.digest": digest}
    adopt = (
        [] if cluster.kind == "current" else ["--take-ownership", "--force-conflicts"]
    )  # CRDs that a test applied by hand
    begun = time.monotonic()
    screen.say("Operator", "helm upgrade --install modelrefresh charts/modelrefresh")
    done = subprocess.run(  # noqa: S603 -- our own command line, no shell
        [
            *(str(cluster.helm), "upgrade", "--install", _RELEASE, str(CHART), f"--kubeconfig={client.kubeconfig}"),
            *(f"--namespace={kubectl.OPERATOR_NAMESPACE}", "--wait", "--timeout=300s"),
            *(f"--set-string={key}={value}" for key, value in values.items()),
            *adopt,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise troubles.DemoError(f"helm: {done.stderr.strip()}", looks=_OPERATOR_LOOKS)
    ready = client.get("deployment", _RELEASE, namespace=kubectl.OPERATOR_NAMESPACE)["status"]["readyReplicas"]
    screen.say("", f"{ready} replicas ready in {time.monotonic() - begun:.0f}s")


def clear(client: kubectl.Kubectl) -> None:
    """Remove what an earlier demo left, except its seed."""
    kinds = "modelrefreshes,instructionresiduals,deployments,jobs"
    client.run("delete", kinds, "--all", f"--namespace={kubectl.NAMESPACE}", "--timeout=120s")


def serve(client: kubectl.Kubectl, filler: manifests.Filler) -> None:
    """The user's own chat server, with the stock model."""
    screen.command("kubectl apply -f examples/01-profile.yaml -f examples/02-serving.yaml")
    manifests.apply(client, filler.text("01-profile.yaml"))
    manifests.apply(client, filler.text("02-serving.yaml"))
    begun = time.monotonic()
    try:
        client.run("rollout", "status", f"--namespace={kubectl.NAMESPACE}", "deployment/chat", "--timeout=600s")
    except troubles.DemoError as error:
        raise troubles.DemoError(str(error), looks=_SERVING_LOOKS) from error
    address = client.get("service", "chat")["spec"]["clusterIP"]
    screen.say(
        "Serving", f"deployment/chat answers on {address} with the stock model ({time.monotonic() - begun:.0f}s)"
    )


def offers_gpus(client: kubectl.Kubectl) -> bool:
    """Whether the scheduler can count GPUs on any node."""
    nodes = client.items("nodes", namespace="")
    return any(int(node["status"]["allocatable"].get("nvidia.com/gpu", "0")) for node in nodes)
