"""One refresh from `kubectl apply` to its outcome, watched through the status of the ModelRefresh."""

import time
from typing import Any

from examples.demo import kubectl, manifests, picture, screen, tables, troubles

NAME = "world-chat"
POLL_SECONDS = 1.5
LONGEST_SECONDS = 1500
_LOOKS = (
    f"get --namespace={kubectl.NAMESPACE} modelrefreshes,modelversions",
    f"events --namespace={kubectl.NAMESPACE} --for=modelrefresh/{NAME}",
    f"get --namespace={kubectl.NAMESPACE} jobs,pods,instructionresiduals",
    f"logs --namespace={kubectl.OPERATOR_NAMESPACE} deployment/modelrefresh --all-pods --tail=20",
)


def run(client: kubectl.Kubectl, file: str, filler: manifests.Filler, *, expected: str | None = None) -> dict[str, Any]:
    """Apply a file, draw the run until it ends, show the verdicts; returns the ModelRefresh.

    Raises:
        DemoError: another outcome than the one expected, if any is.
    """
    screen.command(f"kubectl apply -f examples/{file}")
    manifests.apply(client, filler.text(file))
    refresh = _follow(client)
    status = refresh["status"]
    evaluation = _evaluation(status)
    if evaluation:
        screen.show()
        screen.show(tables.verdicts(evaluation))
        screen.show()
    outcome = status["run"]["outcome"]
    if expected is not None and outcome != expected:
        raise troubles.DemoError(
            f"{file}: expected the outcome {expected}, saw {outcome}: {_last_words(status)}", looks=_LOOKS
        )
    return refresh


def _follow(client: kubectl.Kubectl) -> dict[str, Any]:
    give_up = time.monotonic() + LONGEST_SECONDS
    with screen.Moving() as line:
        while time.monotonic() < give_up:
            refresh = client.get("modelrefreshes", NAME)
            status = refresh.get("status", {})
            run = status.get("run", {})
            current = run.get("specGeneration") == refresh["metadata"]["generation"]
            if current and run.get("stages"):
                line.draw(picture.line(status), change=picture.change(status))
            if current and run.get("outcome"):
                return refresh
            _refuse_a_stall(refresh)
            time.sleep(POLL_SECONDS)
    raise troubles.DemoError(f"modelrefreshes/{NAME}: no outcome after {LONGEST_SECONDS} s", looks=_LOOKS)


def _refuse_a_stall(refresh: dict[str, Any]) -> None:
    status = refresh.get("status", {})
    if status.get("observedGeneration") != refresh["metadata"]["generation"]:
        return
    for condition in status.get("conditions", []):
        if condition["type"] == "Stalled" and condition["status"] == "True":
            raise troubles.DemoError(
                f"modelrefreshes/{NAME} waits for a person: {condition['reason']}: {condition.get('message', '')}",
                looks=_LOOKS,
            )


def _evaluation(status: dict[str, Any]) -> dict[str, Any]:
    stages = {stage["name"]: stage for stage in status["run"].get("stages", [])}
    evaluation: dict[str, Any] = stages.get("evaluate", {}).get("evaluate", {})
    return evaluation


def _last_words(status: dict[str, Any]) -> str:
    failure = status.get("lastFailure", {})
    return str(failure.get("message") or next((entry["message"] for entry in status.get("history", [])), ""))
