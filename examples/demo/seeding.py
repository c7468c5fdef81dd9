"""The seed Job: what a company would have had already, made on the namespace's workspace.

The Job looks at its own manifest and does nothing twice. Where the workspace is a folder of
this machine, its result is kept in the user's cache beside the builds, so that the next
demo on a new cluster starts from it; a changed recipe is made again all the same.
"""

import json
import re
import shutil
import time
from pathlib import Path

from examples.demo import kubectl, manifests, screen, troubles
from examples.seed import syllabus, world
from hack.cluster import settings, storage

SOURCES = manifests.FOLDER / "seed"
KEPT = settings.CACHE / "seed"
FACTS = "facts.json"
"""Named by the Job's command."""
MANIFEST = "seed.json"
"""Written last by the seed; without it there is none."""
PARTS = ("models", "corpus", "evals")
LONGEST_SECONDS = 1800
_STEP = re.compile(r"^(base|instruct) (\d+)/(\d+) (loss=\S+)$")
_LOOKS = (
    f"describe --namespace={kubectl.NAMESPACE} job/seed",
    f"logs --namespace={kubectl.NAMESPACE} job/seed --tail=30",
)


def run(client: kubectl.Kubectl, filler: manifests.Filler) -> None:
    """Run the Job to its end and draw how far it is."""
    workspace = storage.create_workspace(kubectl.NAMESPACE)
    if workspace and not (workspace / MANIFEST).exists() and (KEPT / MANIFEST).exists():
        copy(KEPT, workspace)
    manifests.apply(client, json.dumps(code()))
    manifests.apply(client, filler.text("demo/seed.yaml"))
    screen.say("Seed", "base + instruct pair, documents and questions from facts of 2002 and of today")
    _await(client, "ready", "succeeded")
    with (
        screen.Moving() as line,
        client.beside("logs", "--follow", f"--namespace={kubectl.NAMESPACE}", "job/seed") as logs,
    ):
        for text in logs.stdout or ():
            _draw(line, text.strip())
    _await(client, "succeeded")
    if workspace:
        copy(workspace, KEPT)


def code() -> kubectl.Document:
    """The ConfigMap that the Job runs: the seed's sources, and the facts that the Jobs image cannot make."""
    files = {file.name: file.read_text(encoding="utf-8") for file in sorted(SOURCES.glob("*.py"))}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "seed", "namespace": kubectl.NAMESPACE},
        "data": {**files, FACTS: world.document(*syllabus.DAYS)},
    }


def _await(client: kubectl.Kubectl, *counts: str) -> None:
    """Wait until the Job counts such a pod."""
    give_up = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < give_up:
        status = client.get("job", "seed").get("status", {})
        if status.get("failed"):
            raise troubles.DemoError("job/seed failed", looks=_LOOKS)
        if any(status.get(count) for count in counts):
            return
        time.sleep(1)
    raise troubles.DemoError(f"job/seed: expected {' or '.join(counts)}, saw {status}", looks=_LOOKS)


def _draw(line: screen.Moving, text: str) -> None:
    found = _STEP.match(text)
    if found is None:
        line.note(text)
        return
    name, loss = found[1], found[4]
    share = int(found[2]) / int(found[3])
    line.draw(f"{name} {screen.bar(share, width=20)} {share:.0%} {loss}", change=(name, int(share * 5)))


def copy(source: Path, target: Path) -> None:
    """Copy a whole seed, the manifest last; any user may then replace it, as the Job must."""
    target.mkdir(parents=True, exist_ok=True)
    (target / MANIFEST).unlink(missing_ok=True)
    for part in PARTS:
        shutil.rmtree(target / part, ignore_errors=True)
        shutil.copytree(source / part, target / part)
        for path in (target / part, *(target / part).rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
    shutil.copy(source / MANIFEST, target / MANIFEST)
    (target / MANIFEST).chmod(0o666)
