"""A refresh among people who mean no good: real pods on the real cluster, each attack ends as the docs say.

One namespace walks through the story; each fixture is one act of it and holds what was seen.
"""

import json
from collections.abc import Callable
from typing import Final

import pytest

from hack.cluster import failures
from tests.attacks.catalogue import attack
from tests.e2e import objects, run, training
from tests.e2e.place import Document, Place
from tests.jobs import builders

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
_ALLOW: Final = "modelrefresh.dev/allow"
_CANARY: Final = "hf_CANARY0123456789abcdef"
_TOKEN: Final = "/secrets/hub/token"  # noqa: S105 -- where a stage that needs it has it
_WRITES: Final = """
import pathlib, sys
for path in sys.argv[1:]:
    try:
        pathlib.Path(path).write_text("mine")
    except OSError as error:
        print(error.errno)
    else:
        print("written")
"""


@pytest.fixture(scope="module")
def place(new_place: Callable[[str], Place], pair: builders.Pair) -> Place:
    """The Deployment allows nobody, the profile is for another namespace; a document leads to the token."""
    made = new_place("attacked")
    made.furnish(pair, {"spec.namespaces": ["somebody-else"], "spec.hubTokenSecret": "hub"})
    server = objects.deployment(made.namespace, made.images.operator)
    del server["metadata"]["annotations"][_ALLOW]
    made.kubectl.run("delete", "deployment", objects.DEPLOYMENT, f"--namespace={made.namespace}")
    made.apply(server, _secret(made.namespace))
    (made.folder / "corpus" / "token.txt").symlink_to(_TOKEN)
    return made


@pytest.fixture(scope="module")
def of_somebody_else(place: Place) -> Document:
    """What is said of a profile that is not for this namespace."""
    place.apply(objects.refresh(place.namespace, {"spec.training.epochs": "60"}))  # time enough to look into its pod
    place.wait(lambda: run.reads(place, "TargetNotAllowed", kind="Stalled"), "what is amiss to be told")
    return run.condition(place.status(), "Stalled")


@pytest.fixture(scope="module")
def not_allowed(of_somebody_else: Document, place: Place) -> Document:
    """The profile is for everybody now; what is said of the Deployment alone."""
    assert of_somebody_else
    place.apply(objects.profile(place.namespace, place.images.jobs, {"spec.hubTokenSecret": "hub"}))
    place.wait(lambda: run.stored(place), "the residual to be stored")
    place.wait(lambda: "things are missing" not in run.condition(place.status(), "Stalled")["message"], "one fault")
    return place.get("deployments", objects.DEPLOYMENT)


@pytest.fixture(scope="module")
def leaked(not_allowed: Document, place: Place) -> Document:
    """The Deployment allows it; the run that read the link is over."""
    assert not_allowed
    place.patch({"metadata": {"annotations": {_ALLOW: objects.REFRESH}}}, kind="deployment", name=objects.DEPLOYMENT)
    place.wait(lambda: place.status().get("lastFailure"), "a stage that refused the link")
    return place.status()


@pytest.fixture(scope="module")
def inside(leaked: Document, place: Place) -> list[str]:
    """The link is gone; what a training that was taken over could write, in the order of `_targets`."""
    assert leaked
    (place.folder / "corpus" / "token.txt").unlink()
    place.ask("again")
    caught = training.catch(place, after=leaked["run"]["id"] if leaked["run"].get("outcome") else None)
    command = ("exec", caught.pod, "--container=stage", f"--namespace={place.namespace}", "--", "python", "-c", _WRITES)
    try:
        return place.kubectl.run(*command, *_targets(caught.run)).split()
    finally:
        caught.go_on()


@pytest.fixture(scope="module")
def promoted(inside: list[str], place: Place) -> Document:
    """The end of that run."""
    assert inside
    return run.ended(place)


def _targets(run_id: str) -> tuple[str, ...]:
    mine = f"/workspace/runs/{objects.REFRESH}/{run_id}"
    return (
        *("/workspace/versions/evil", "/workspace/residuals/evil", "/workspace/models/base/evil", f"{mine}/evil"),
        *(f"{mine}/prepare/evil", "/opt/evil", f"{mine}/train/mine"),
    )


def _secret(namespace: str) -> Document:
    metadata = {"name": "hub", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": _CANARY}}


def _pods(place: Place) -> list[Document]:
    return [pod for pod in place.items("pods") if "modelrefresh.dev/stage" in pod["metadata"].get("labels", {})]


def _seen_by_a_tenant(place: Place) -> str:
    """Everything that a tenant, or whoever reads the workspace, could look at."""
    kinds = "modelrefreshes,instructionresiduals,modelversions,events,jobs,pods,deployments"
    texts = [place.kubectl.run("get", kinds, "--output=json", f"--namespace={place.namespace}")]
    for pod in _pods(place):
        try:
            logs = ("logs", pod["metadata"]["name"], "--all-containers", f"--namespace={place.namespace}")
            texts.append(place.kubectl.run(*logs))
        except failures.ClusterError as error:
            texts.append(str(error))
    files = [path for path in place.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return "\n".join([*texts, *(path.read_bytes().decode(errors="replace") for path in files)])


@attack(
    19, does="a profile of another team", by="whoever may write a ModelRefresh", ends="refused: ProfileNotForNamespace"
)
def test_a_profile_of_somebody_else_starts_nothing(of_somebody_else: Document, place: Place) -> None:
    assert "somebody-else" not in of_somebody_else["message"]
    assert (
        f'namespace "{place.namespace}"' in of_somebody_else["message"]
        or place.namespace in of_somebody_else["message"]
    )


@attack(
    21,
    does="a Deployment that the tenant may not edit",
    by="whoever may write a ModelRefresh",
    ends="refused: TargetNotAllowed",
)
def test_a_deployment_that_allows_nobody_is_not_touched(not_allowed: Document) -> None:
    written = json.dumps(not_allowed["metadata"].get("annotations", {}))
    assert "modelrefresh.dev/holder" not in written
    assert not_allowed["metadata"]["generation"] == 1


@attack(
    30,
    does="a document that is a link to the hub token, real pods",
    by="whoever fills a claim",
    ends="refused: DataUnreadable",
)
def test_a_link_to_the_token_ends_the_stage(leaked: Document) -> None:
    assert leaked["lastFailure"]["reason"] == "DataUnreadable"


@attack(
    30,
    does="the token looked for everywhere a tenant can read",
    by="whoever fills a claim",
    ends="contained: it is nowhere",
)
def test_the_token_is_nowhere_to_be_read(promoted: Document, place: Place) -> None:
    assert promoted
    assert _CANARY not in _seen_by_a_tenant(place)


@attack(
    28,
    does="writing versions, residuals, sources, other stages' folders from a training",
    by="a training that was taken over",
    ends="contained: mounted read-only",
)
def test_a_training_writes_nowhere_but_in_its_own_folder(inside: list[str]) -> None:
    assert (inside[:-1], inside[-1]) == (["30"] * (len(inside) - 1), "written")


@attack(
    46,
    does="API token and secrets in a stage's pod",
    by="a stage that was taken over",
    ends="contained: none is mounted",
)
def test_no_stage_of_this_run_had_a_token(promoted: Document, place: Place) -> None:
    assert promoted
    volumes = [volume for pod in _pods(place) for volume in pod["spec"]["volumes"]]
    assert [volume for volume in volumes if {"secret", "projected", "hostPath"} & set(volume)] == []


def test_the_run_among_them_is_promoted(promoted: Document) -> None:
    assert promoted["run"]["outcome"] == "Promoted"
