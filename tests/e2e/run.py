"""One run of a refresh, seen from outside: how it ended, what each stage recorded.

Pure readers of a status document, and the wait for a run's end. Refuses to know what is right.
"""

from typing import Any

from tests.e2e import objects
from tests.e2e.place import Document, Place


def ended(place: Place, *, after: str | None = None, seconds: float = 500.0) -> Document:
    """Wait for the end of a run other than `after`; the status then."""

    def over() -> bool:
        run = place.status().get("run", {})
        return bool(run.get("outcome")) and run["id"] != after

    place.wait(over, f"the end of a run after {after}", seconds=seconds)
    settled(place)
    return place.status()


def settled(place: Place) -> None:
    """Wait until the operator has said everything about the end of a run."""
    place.wait(lambda: condition(place.status(), "Reconciling")["status"] == "False", "a settled refresh", seconds=60)


def reads(place: Place, reason: str, *, kind: str = "Ready", name: str = objects.REFRESH) -> bool:
    """Whether a condition has this reason, for the spec of now."""
    found = place.get("modelrefreshes", name)
    status = found.get("status", {})
    current = status.get("observedGeneration") == found["metadata"]["generation"]
    return current and condition(status, kind).get("reason") == reason


def stored(place: Place, name: str = objects.RESIDUAL) -> bool:
    """Whether a residual is there to be used."""
    return condition(place.get("instructionresiduals", name).get("status", {}), "Ready")["status"] == "True"


def condition(status: Document, kind: str) -> dict[str, str]:
    """One condition; empty if it was not written yet."""
    return next((item for item in status.get("conditions", ()) if item["type"] == kind), {"status": "Unknown"})


def stage(status: Document, name: str) -> dict[str, Any]:
    """What the run recorded of a stage."""
    return next(item for item in status["run"]["stages"] if item["name"] == name)


def writers(place: Place, run: str) -> list[str]:
    """Jobs of a run, and its pods that may still write."""
    pods = [pod for pod in place.items("pods", run=run) if pod["status"]["phase"] not in ("Succeeded", "Failed")]
    return [item["metadata"]["name"] for item in (*place.items("jobs", run=run), *pods)]


def attempts(place: Place, run: str) -> list[tuple[str, str]]:
    """(stage, attempt) of every Job that was made for a run."""
    labels = [job["metadata"]["labels"] for job in place.items("jobs", run=run)]
    return sorted((item["modelrefresh.dev/stage"], item["modelrefresh.dev/attempt"]) for item in labels)
