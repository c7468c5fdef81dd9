"""The stages of a run as one line, from the status of a ModelRefresh. Pure.

Knows how each stage state is drawn; refuses to know where the status comes from.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from examples.demo import screen

Document = Mapping[str, Any]
ROLLOUT = "rollout"
_QUARTER = 25


def line(status: Document) -> str:
    """Such as `import ✓ 6s  prepare ✓ 4s  train ▓▓▓▓▓░░░ 68%  merge ·  evaluate ·  rollout ·`."""
    run = status.get("run", {})
    drawn = [_stage(stage) for stage in run.get("stages", [])]
    return "  ".join([*drawn, f"{ROLLOUT} {_rollout(status)}"])


def change(status: Document) -> tuple[object, ...]:
    """Equal for pictures that differ only in small progress."""
    run = status.get("run", {})
    stages = ((stage["name"], stage["state"], _percent(stage) // _QUARTER) for stage in run.get("stages", []))
    return (run.get("id"), run.get("outcome"), _rollout(status), *stages)


def _stage(stage: Document) -> str:
    name = stage["name"] if stage.get("attempt", 1) <= 1 else f"{stage['name']} ({stage['attempt']})"
    state = stage["state"]
    if state == "Succeeded":
        return f"{name} ✓ {_duration(stage)}".rstrip()
    if state == "Failed":
        return f"{name} ✗ {stage.get('reason', '')}".rstrip()
    if state == "Running":
        percent = _percent(stage)
        return f"{name} {screen.bar(percent / 100)} {percent}%"
    return f"{name} queued" if state == "Queued" else f"{name} ·"


def _rollout(status: Document) -> str:
    outcome = status.get("run", {}).get("outcome")
    if outcome == "Promoted":
        return "✓"
    if outcome:
        return f"- ({outcome})"
    ready = (item for item in status.get("conditions", []) if item["type"] == "Ready")
    return "…" if any(item["reason"] == "RollingOut" for item in ready) else "·"


def _percent(stage: Document) -> int:
    digits = str(stage.get("progress", "")).strip().removesuffix("%").split(".")[0]
    return int(digits) if digits.isdigit() else 0


def _duration(stage: Document) -> str:
    if not stage.get("startTime") or not stage.get("endTime"):
        return ""
    elapsed = dt.datetime.fromisoformat(stage["endTime"]) - dt.datetime.fromisoformat(stage["startTime"])
    minutes, seconds = divmod(round(elapsed.total_seconds()), 60)
    return f"{minutes}m{seconds:02d}s" if minutes else f"{seconds}s"
