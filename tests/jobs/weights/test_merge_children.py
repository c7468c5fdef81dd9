"""What an interrupted merge leaves: neither children nor a draft."""

import multiprocessing
import os
import pathlib
import signal
import time
from collections.abc import Iterator

import pytest

from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs.process import signals
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.tensors.safetensors_writer import Planned, Writer
from tests.jobs import builders
from tests.jobs.weights.merges import Merges


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stage's handlers, for the time of one test."""
    monkeypatch.setattr(signals, "_STATE", signals._State())  # noqa: SLF001 -- one per process otherwise
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [(number, signal.getsignal(number)) for number in numbers]
    signals.install()
    yield
    for number, handler in before:
        signal.signal(number, handler)


class Slow(Writer):
    """A disk on which children wait for ever after the first tensor."""

    def place(self, tensor: Planned, first: int, data: object) -> None:
        """As the writer does."""
        super().place(tensor, first, data)  # type: ignore[arg-type]
        if tensor is not self._shard.tensors[0]:
            time.sleep(600)


class Interrupted(Progress):
    """A SIGTERM arrives while the parent hashes."""

    def report(self, *_: object, **_gauges: object) -> None:
        """Of the first tensor."""
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.usefixtures("signalled")
def test_a_merge_that_is_asked_to_leave_leaves_no_child_and_no_draft(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, merges = builders.tiny_pair(tmp_path), Merges(tmp_path / "ws")
    merges.train(pair.trained)
    residual = merges.extract(pair.base, pair.instruct)
    monkeypatch.setattr("modelrefresh_jobs.tensors.safetensors_writer.Writer", Slow)
    with pytest.raises(signals.Preempted):
        merges.merge(pair.base, residual, progress=Interrupted(stage=Stage.MERGE))
    assert multiprocessing.active_children() == []
    assert list(merges.version("any").parent.iterdir()) == []
