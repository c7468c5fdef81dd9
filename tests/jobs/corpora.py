"""Small texts and suites on disk, for the stages that read them."""

import datetime
import json
import pathlib
import random

from modelrefresh.contract.stages.evaluate import SuiteInput
from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.vocabulary import Stage, Task
from modelrefresh_jobs.attempt import stage_module
from tests.jobs import builders

TODAY = datetime.date(2026, 11, 26)
"""Day of the intake in tests that look at dates."""
_PLACES = ("Avon", "Brill", "Corin", "Dunmore", "Elphin", "Farrow", "Gault", "Harrow")
_FACTS = ("river", "market", "bridge", "tower", "harbour", "mill", "forest", "school")


def sentences(count: int, *, seed: int = 0) -> list[str]:
    """Distinct short documents."""
    draw = random.Random(seed)  # noqa: S311 -- repeatable on purpose
    return [
        f"number {seed}-{index}: the {draw.choice(_FACTS)} of {draw.choice(_PLACES)} was built in {1000 + index} "
        f"and stands near the {draw.choice(_FACTS)} of {draw.choice(_PLACES)}"
        for index in range(count)
    ]


def write(path: pathlib.Path, records: list[dict[str, object]]) -> pathlib.Path:
    """Records as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def texts(path: pathlib.Path, documents: list[str], *, date: str | None = None) -> pathlib.Path:
    """Documents as JSON lines with a `text` field."""
    dated = {"date": date} if date else {}
    return write(path, [{"text": text, **dated} for text in documents])


def suite(
    path: pathlib.Path, *, task: Task = Task.QUESTION_ANSWERING, name: str = "facts", dev: bool | None = None
) -> SuiteInput:
    """A suite at this path."""
    return SuiteInput(name=name, uri=f"file://{path}", task=task, dev=dev)


def prepared(root: pathlib.Path, base: pathlib.Path, *, documents: int = 60, sequence_length: int = 32) -> None:
    """Packed blocks of generated text in this workspace."""
    data = texts(root / "data" / "a.jsonl", sentences(documents))
    wanted = PrepareInput(
        base=builders.uri(base), data=f"file://{data}", sequence_length=sequence_length, max_tokens=1_000_000
    )
    stage_module.run(builders.request(root, Stage.PREPARE, section=wanted), builders.quiet(Stage.PREPARE))
