"""`make demo`: the order of the demo, and what is shown when a step fails.

With names of examples (`make demo EXAMPLE="06-lora.yaml 07-direct.yaml"`) each of them is tried by itself.
Needs a cluster (`make cluster`) and the images (`make images`); `make demo` sees to both.
"""

import json
import shlex
import sys
import time

from examples.demo import (
    chat,
    installation,
    kubectl,
    manifests,
    measures,
    refreshing,
    screen,
    seeding,
    tables,
    troubles,
)
from hack.cluster import facts, failures
from hack.images import cache

_LINES_OF_A_LOOK, _LINE_LENGTH = 30, 240
_INTERRUPTED = 130


def main() -> int:
    """Run the demo; 0 if everything went as it should."""
    begun = time.monotonic()
    try:
        cluster = facts.read()
        images = _images()
    except (failures.ClusterError, troubles.DemoError) as error:
        screen.say("Failed", str(error))
        return 1
    client = kubectl.Kubectl(program=cluster.kubectl, kubeconfig=cluster.kubeconfig)
    screen.say("Cluster", f"Kubernetes {cluster.kubernetes} ({cluster.kind}); export KUBECONFIG={cluster.kubeconfig}")
    try:
        installation.install(client, cluster, image=images["operator"])
        filler = manifests.Filler(image=images["jobs"], gpus=installation.offers_gpus(client))
        if sys.argv[1:]:
            for file in sys.argv[1:]:
                _try(client, filler, file)
        else:
            _play(client, filler)
    except troubles.DemoError as error:
        _explain(client, error)
        return 1
    except KeyboardInterrupt:
        screen.say("Stopped", "by hand; `make demo` goes on from what is there, `make cluster-down` removes it")
        return _INTERRUPTED
    screen.show()
    screen.say("Done", f"in {time.monotonic() - begun:.0f}s; next: docs/, make demo again, make cluster-down")
    return 0


def _play(client: kubectl.Kubectl, filler: manifests.Filler) -> None:
    before = _set_stage(client, filler)
    promoted = refreshing.run(client, "04-refresh.yaml", filler, expected="Promoted")
    live = promoted["status"]["live"]["version"]
    screen.show(f"Promoted: {live} serves")
    _ask(client)
    rejected = refreshing.run(client, "05-poisoned.yaml", filler, expected="Rejected")
    _show_rejection(rejected, live=live)
    _ask(client)
    _sum_up(client, live=live, before=before)


def _try(client: kubectl.Kubectl, filler: manifests.Filler, file: str) -> None:
    """One example against the stock model, whatever comes of it."""
    _set_stage(client, filler)
    status = refreshing.run(client, file, filler)["status"]
    screen.show(f"{status['run']['outcome']}: {status['run'].get('message', '')}")
    _ask(client)


def _set_stage(client: kubectl.Kubectl, filler: manifests.Filler) -> measures.Writes:
    """Everything that a refresh needs, with the stock model asked; gives the writes so far."""
    installation.clear(client)
    seeding.run(client, filler)
    installation.serve(client, filler)
    _ask(client)
    before = measures.writes(measures.read(client))
    screen.command("kubectl apply -f examples/03-residual.yaml")
    manifests.apply(client, filler.text("03-residual.yaml"))
    return before


def _ask(client: kubectl.Kubectl) -> None:
    screen.show()
    answers = chat.ask(client, chat.QUESTIONS)
    rows = [
        (question.text, answer, f"({chat.comment(question, answer)})")
        for question, answer in zip(chat.QUESTIONS, answers, strict=True)
    ]
    screen.show(tables.columns(rows))


def _show_rejection(refresh: kubectl.Document, *, live: str) -> None:
    status = refresh["status"]
    ended = status["history"][0]
    screen.show(f"Rejected: {ended.get('version', 'the candidate')} is not served. {ended.get('message', '')}")
    if status["live"]["version"] != live:
        raise troubles.DemoError(f"modelrefresh: {status['live']['version']} is live; expected {live} to stay")
    screen.show(f"{live} stays live")


def _sum_up(client: kubectl.Kubectl, *, live: str, before: measures.Writes) -> None:
    namespace = f"--namespace={kubectl.NAMESPACE}"
    screen.command(f"kubectl get {namespace} mref,ires,mver")
    screen.show(client.run("get", namespace, "modelrefreshes,instructionresiduals,modelversions"))
    screen.command(f"kubectl get {namespace} mver {live} -o yaml   # in short")
    screen.show(tables.lineage(client.get("modelversion", live)))
    screen.command(f"kubectl get --raw .../pods/LEADER:{measures.PORT}/proxy/metrics   # a few of them")
    exposition = measures.read(client)
    screen.show(measures.few(exposition, name=refreshing.NAME))
    written = measures.writes(exposition).since(before)
    screen.show(
        f"the residual and both runs took {written.objects} writes to the API server and {written.events} events"
    )


def _images() -> dict[str, str]:
    try:
        noted: dict[str, str] = json.loads(cache.RECORD.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise troubles.DemoError(f"{cache.RECORD}: {error}. Build the images: make images") from error
    missing = {"operator", "jobs"} - set(noted)
    if missing:
        raise troubles.DemoError(f"{cache.RECORD}: no image {', '.join(sorted(missing))}. Build it: make images")
    return noted


def _explain(client: kubectl.Kubectl, error: troubles.DemoError) -> None:
    screen.show()
    screen.say("Failed", str(error))
    for look in error.looks:
        screen.command(f"kubectl {look}")
        try:
            text = client.run(*shlex.split(look))
        except troubles.DemoError as unavailable:
            text = str(unavailable)
        screen.show("\n".join(line[:_LINE_LENGTH] for line in text.splitlines()[-_LINES_OF_A_LOOK:]))


if __name__ == "__main__":
    sys.exit(main())
