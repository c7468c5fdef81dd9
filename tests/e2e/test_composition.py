"""A base of another release, two residuals, a searched factor and an average with what serves, as a user applies them.

One run: version zero is the untrained base with the transferred residual; the candidate is judged and rolled out.
"""

import json
import pathlib
from collections.abc import Callable

import pytest

from tests.e2e import objects, run
from tests.e2e.place import Document, Place
from tests.e2e.replicas import Replicas
from tests.jobs import builders, corpora

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

OLDER = f"{objects.SOURCES}/models/older"
DEV = {"name": "dev", "task": "question-answering", "uri": f"{objects.SOURCES}/evals/dev.jsonl"}
EDITS = {
    "spec.base.uri": OLDER,
    "spec.residualRef.transfer": "SameFamily",
    "spec.residual": {
        "search": {"scales": ["0.6", "1.0"], "suites": [DEV]},
        "scales": [{"tensors": "*.mlp.*", "scale": "0.9"}],
    },
    "spec.residuals": [{"name": "safety", "scale": "0.5", "transfer": "SameFamily"}],
    "spec.average": {"previous": "0.25"},
    "spec.rollout.stock": "Transferred",
    "spec.training.epochs": "1",
}


@pytest.fixture(scope="module")
def place(new_place: Callable[[str], Place], pair: builders.Pair, tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = new_place("composition")
    made.furnish(pair)
    models = tmp_path_factory.mktemp("models")
    safety = builders.disturbed(pair.base, models / "safety", seed=41)
    builders.make_instruct(safety)
    made.bring(safety, "models/safety")
    made.bring(builders.disturbed(pair.base, models / "older", seed=42), "models/older")
    questions = [{"question": f"What is number {number}?", "answer": str(number)} for number in range(6)]
    corpora.write(made.folder / "evals" / "dev.jsonl", questions)
    instruct = {"spec.instruct.uri": f"{objects.SOURCES}/models/safety"}
    made.apply(objects.residual(made.namespace, instruct, name="safety"))
    return made


@pytest.fixture(scope="module")
def status(place: Place, operator: Replicas) -> Document:
    assert operator.leader()
    place.apply(objects.refresh(place.namespace, EDITS))
    return run.ended(place)


def provenance(place: Place, digest: str) -> Document:
    folder: pathlib.Path = place.folder / "versions" / digest
    found: Document = json.loads((folder / "provenance.json").read_text())
    return found


def test_the_run_ends_in_a_promotion(status: Document) -> None:
    assert status["run"]["outcome"] == "Promoted", status["run"]["message"]
    assert [one["name"] for one in status["run"]["stages"]] == [
        *("import", "prepare", "train", "search", "merge", "evaluate"),
    ]


def test_every_factor_was_asked_the_questions_of_no_gate(status: Document) -> None:
    found = run.stage(status, "search")["search"]
    assert [(float(one["scale"]), one["items"]) for one in found["scores"]] == [(0.6, 6), (1.0, 6)]


def test_the_candidate_was_made_as_the_spec_says_with_the_factor_that_was_found(place: Place, status: Document) -> None:
    made = provenance(place, status["live"]["digest"])
    assert made["scale"] == float(run.stage(status, "search")["search"]["scale"])
    assert made["transferred"] is True
    assert [one["scale"] for one in made["added"]] == [0.5]
    assert (made["previous"], made["previous_share"]) == (status["stock"]["digest"], 0.25)


def test_version_zero_is_the_untrained_base_with_the_residual(place: Place, status: Document) -> None:
    stock = provenance(place, status["stock"]["digest"])
    assert (stock["start"], stock["transferred"]) == (OLDER, True)
    version = place.get("modelversions", status["stock"]["version"])["spec"]
    assert (version["verdict"], version["lineage"]["strategy"], version["lineage"]["base"]) == (
        *("Stock", "Transferred", OLDER),
    )


def test_the_version_says_what_it_was_made_of(place: Place, status: Document) -> None:
    lineage = place.get("modelversions", status["live"]["version"])["spec"]["lineage"]
    assert (lineage["transfer"], lineage["average"]) == ("SameFamily", "0.25")
    assert [(one["residual"], one["scale"]) for one in lineage["added"]] == [("safety", "0.5")]
