"""What kopf is told: which kinds, with which settings, and what happens when it ends."""

import itertools

import kopf
import pytest

from modelrefresh.kube import kinds
from modelrefresh.runtime import event_watcher, watch_index
from tests.runtime import threads


def test_each_watched_kind_has_one_plain_event_handler() -> None:
    registry = event_watcher.registry(lambda *_: None)
    selectors = [handler.selector for handler in registry._watching.get_all_handlers()]  # noqa: SLF001 -- kopf has no other way to ask
    watched = sorted(str(selector.any_name or selector.plural) for selector in selectors)
    assert watched == sorted(kind.plural for kind in watch_index.WATCHED)


def test_nothing_that_makes_kopf_write_is_registered() -> None:
    registry = event_watcher.registry(lambda *_: None)
    assert [*registry._changing.get_all_handlers(), *registry._spawning.get_all_handlers()] == []  # noqa: SLF001
    assert event_watcher.settings().posting.enabled is False


def test_foreign_kinds_are_watched_by_our_label_only() -> None:
    selectors = event_watcher.settings().watching.label_selectors
    assert kinds.JOB in watch_index.SELECTORS
    assert kinds.DEPLOYMENT in watch_index.SELECTORS
    assert selectors


def test_tries_of_one_request_never_end() -> None:
    backoffs = event_watcher.settings().networking.error_backoffs
    waits = list(itertools.islice(iter(backoffs), 1000))
    assert max(waits) <= 18.0
    assert waits[0] < 1.0


def test_a_watcher_that_ends_again_and_again_gives_up_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    ended: list[int] = []

    async def fail(**_: object) -> None:
        runs.append(1)
        raise RuntimeError("404 page not found")

    monkeypatch.setattr(kopf, "operator", fail)
    monkeypatch.setattr(event_watcher, "_BACKOFF", (0.0, 0.0))
    watcher = event_watcher.Watcher(lambda *_: None, lambda: ended.append(1), namespaces=())
    watcher.start()
    threads.await_watchers(10)
    assert (len(runs), len(ended), watcher.given_up()) == (10, 1, True)


def test_a_stopped_watcher_ends_without_giving_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(*, stop_flag: object, **_: object) -> None:
        watcher.stop()
        assert stop_flag.is_set()  # type: ignore[attr-defined]

    monkeypatch.setattr(kopf, "operator", wait)
    watcher = event_watcher.Watcher(lambda *_: None, lambda: None, namespaces=())
    watcher.start()
    threads.await_watchers(10)
    assert not watcher.given_up()
