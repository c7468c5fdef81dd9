"""Everything before the first refresh: namespaces, operator, workspace, seed, chat server.

Each step may be repeated; what is there already is left as it is or brought up to date.
Objects of an earlier demo are removed first, its seed is kept.
"""

import re
import subprocess
import time
from pathlib import Path

from examples.demo import kubectl, manifests, screen, troubles
from tests.cluster import storage

CHART = manifests.FOLDER.parent / "charts" / "modelrefresh"
SEED = manifests.FOLDER / "seed"
_RELEASE = "modelrefresh"
_PULL_SECONDS = 600
_STEP = re.compile(r"^(base|instruct) (\d+)/(\d+) (loss=\S+)$")
_OPERATOR_LOOKS = (
    f"get pods --namespace={kubectl.OPERATOR_NAMESPACE}",
    f"logs --namespace={kubectl.OPERATOR_NAMESPACE} deployment/{_RELEASE} --tail=30",
)
_SEED_LOOKS = (
    f"describe --namespace={kubectl.NAMESPACE} job/seed",
    f"logs --namespace={kubectl.NAMESPACE} job/seed --tail=30",
)
_SERVING_LOOKS = (
    f"get pods --namespace={kubectl.NAMESPACE}",
    f"logs --namespace={kubectl.NAMESPACE} deployment/chat --tail=30",
)


def install(client: kubectl.Kubectl, *, helm: Path, image: str) -> None:
    """The operator by its chart, two replicas, both namespaces under the restricted pod security."""
    client.run("apply", f"--filename={manifests.FOLDER}/demo/namespaces.yaml")
    repository, digest = image.rsplit("@", 1)
    registry, repository = repository.split("/", 1)
    values = {"image.registry": registry, "image.repository": repository, "image.digest": digest}
    begun = time.monotonic()
    screen.say("Operator", "helm upgrade --install modelrefresh charts/modelrefresh")
    done = subprocess.run(  # noqa: S603 -- our own command line, no shell
        [
            *(str(helm), "upgrade", "--install", _RELEASE, str(CHART), f"--kubeconfig={client.kubeconfig}"),
            *(f"--namespace={kubectl.OPERATOR_NAMESPACE}", "--wait", "--timeout=300s"),
            *(f"--set-string={key}={value}" for key, value in values.items()),
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
    kinds = "modelrefresh,instructionresidual,deployment,job"
    client.run("delete", kinds, "--all", f"--namespace={kubectl.NAMESPACE}", "--timeout=120s")


def seed(client: kubectl.Kubectl, filler: manifests.Filler) -> None:
    """Run the seed Job on the workspace; quick where an earlier one has done its work."""
    storage.create_workspace(kubectl.NAMESPACE)
    files = [f"--from-file={file}" for file in sorted(SEED.glob("*.py"))]
    code = client.run(
        *("create", "configmap", "seed", f"--namespace={kubectl.NAMESPACE}"), *files, "--dry-run=client", "-o=yaml"
    )
    manifests.apply(client, code)
    manifests.apply(client, filler.text("demo/seed.yaml"))
    screen.say("Seed", "base + instruct pair, documents and questions from facts of 2002 and of today")
    _wait_until_begun(client)
    arguments = ("logs", "--follow", f"--namespace={kubectl.NAMESPACE}", "job/seed")
    with screen.Moving() as line, client.beside(*arguments) as logs:
        for text in logs.stdout or ():
            _draw(line, text.strip())
    _wait(client, "job/seed", "condition=Complete", looks=_SEED_LOOKS)


def serve(client: kubectl.Kubectl, filler: manifests.Filler) -> None:
    """The user's own chat server, with the stock model."""
    screen.command("kubectl apply -f examples/01-profile.yaml -f examples/02-serving.yaml")
    manifests.apply(client, filler.text("01-profile.yaml"))
    manifests.apply(client, filler.text("02-serving.yaml"))
    begun = time.monotonic()
    _wait(client, "deployment/chat", "condition=Available", looks=_SERVING_LOOKS)
    address = client.get("service", "chat")["spec"]["clusterIP"]
    screen.say(
        "Serving", f"deployment/chat answers on {address} with the stock model ({time.monotonic() - begun:.0f}s)"
    )


def offers_gpus(client: kubectl.Kubectl) -> bool:
    """Whether the scheduler can count GPUs on any node."""
    nodes = client.items("nodes", namespace="")
    return any(int(node["status"]["allocatable"].get("nvidia.com/gpu", "0")) for node in nodes)


def _wait_until_begun(client: kubectl.Kubectl) -> None:
    give_up = time.monotonic() + _PULL_SECONDS
    while time.monotonic() < give_up:
        status = client.get("job", "seed").get("status", {})
        if status.get("ready") or status.get("succeeded") or status.get("failed"):
            return
        time.sleep(1)
    raise troubles.DemoError(f"job/seed: no container runs after {_PULL_SECONDS} s", looks=_SEED_LOOKS)


def _draw(line: screen.Moving, text: str) -> None:
    found = _STEP.match(text)
    if found is None:
        line.draw(text, change=text)
        return
    name, loss = found[1], found[4]
    share = int(found[2]) / int(found[3])
    line.draw(f"{name} {screen.bar(share, width=20)} {share:.0%} {loss}", change=(name, int(share * 5)))


def _wait(client: kubectl.Kubectl, thing: str, condition: str, *, looks: tuple[str, ...]) -> None:
    try:
        client.run("wait", f"--namespace={kubectl.NAMESPACE}", thing, f"--for={condition}", "--timeout=600s")
    except troubles.DemoError as error:
        raise troubles.DemoError(str(error), looks=looks) from error
