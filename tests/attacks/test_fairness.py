"""What one tenant can make must not become everybody's work: bounded questions, fair turns, a page that is copied."""

import asyncio
import collections
import datetime
import socket
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from modelrefresh import errors, reconcile
from modelrefresh.api import names
from modelrefresh.cluster import children, progress
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from modelrefresh.kube.kinds import Kind
from modelrefresh.plan.runs import schedule
from modelrefresh.runtime import health
from modelrefresh.runtime.queue import Key, WorkQueue
from tests import builders
from tests.attacks.catalogue import attack
from tests.fakes.cluster import START
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, World
from tests.runtime.clocks import Clock

BY = "whoever may write ModelRefreshes"
EDITOR = "whoever may create Jobs and pods"


def reads(place: World) -> list[tuple[str, str, int]]:
    """(verb, kind, answers) of every read of the next pass over the refresh."""
    seen: list[tuple[str, str, int]] = []
    find, get = place.cluster.find, place.cluster.get

    async def finding(kind: Kind, **how: Any) -> list[dict[str, Any]]:  # noqa: ANN401 -- as the port
        answer = await find(kind, **how)
        seen.append(("find", kind.kind, len(answer)))
        return answer

    async def getting(kind: Kind, **how: Any) -> dict[str, Any]:  # noqa: ANN401 -- as the port
        seen.append(("get", kind.kind, 1))
        return await get(kind, **how)

    place.cluster.find, place.cluster.get = finding, getting  # type: ignore[method-assign, assignment]
    asyncio.run(reconcile.one_pass(place.cluster, world.REFRESH, now=place.now))
    place.cluster.find, place.cluster.get = find, get  # type: ignore[method-assign]
    return seen


@attack(16, does="300 refreshes that name one Deployment", by=BY, ends="contained: a pass asks of the holder alone")
def test_a_pass_does_not_grow_with_the_refreshes_that_name_its_deployment() -> None:
    place = World()
    place.settle()
    before = reads(place)
    for number in range(300):
        place.cluster.add(kinds.MODEL_REFRESH, builders.refresh(name=f"rival-{number}"))
    assert reads(place) == before


def crowd(place: World, real: dict[str, Any], *, count: int) -> None:
    """Jobs and pods that wear the labels of one of ours and come before it in every list."""
    for number in range(count):
        metadata = {"name": f"a-{number:04}", "namespace": NAMESPACE, "labels": dict(real["metadata"]["labels"])}
        place.cluster.add(kinds.JOB, {"metadata": metadata, "spec": {"suspend": True}, "status": {}})
        running = {"phase": "Running", "podIP": "10.0.0.1"}
        place.cluster.add(kinds.POD, {"metadata": dict(metadata), "spec": {}, "status": running})


@attack(17, does="1,000 Jobs and pods with a refresh's labels", by=EDITOR, ends="contained: ours is found among them")
def test_a_crowd_of_forged_children_hides_nothing() -> None:
    place = World()
    place.hold_at(Stage.IMPORT)
    [real] = place.jobs(Stage.IMPORT)
    crowd(place, real, count=1000)
    place.one_pass_over_a_crowd()
    stage = place.status().run.record(Stage.IMPORT)  # type: ignore[union-attr]  # the run is open
    assert stage is not None
    assert (stage.state.value, stage.attempt) == ("Running", 1)


@attack(17, does="more forged children than a pass looks through", by=EDITOR, ends="contained: the pass ends")
def test_a_pass_looks_through_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_PAGE", 5)
    monkeypatch.setattr(children, "_PAGES", 3)
    place = World()
    place.hold_at(Stage.IMPORT)
    [real] = place.jobs(Stage.IMPORT)
    crowd(place, real, count=100)
    looked = []
    pages = place.cluster.pages

    async def counted(kind: Kind, **how: Any) -> AsyncIterator[list[dict[str, Any]]]:  # noqa: ANN401 -- as the port
        async for page in pages(kind, **how):
            looked.append((kind.kind, len(page)))
            yield page

    place.cluster.pages = counted  # type: ignore[method-assign]
    place.one_pass_over_a_crowd()
    assert collections.Counter(kind for kind, _ in looked) == {"Job": 3, "Pod": 3}


@attack(17, does="a crowd that hides a superseded run's Job", by=EDITOR, ends="contained: never two runs at work")
def test_a_crowd_does_not_let_two_runs_work_at_once() -> None:
    place = World()
    place.hold_at(Stage.IMPORT)
    [real] = place.jobs(Stage.IMPORT)
    crowd(place, real, count=300)
    place.edit(lambda refresh: refresh["spec"].setdefault("training", {}).update(seed=99))
    place.cluster.fail("delete", kinds.JOB, RuntimeError("the operator died"), times=1)
    with pytest.raises(RuntimeError):
        place.one_pass_over_a_crowd()
    for _ in range(6):
        place.one_pass_over_a_crowd()
        place.pass_time(6)
    own = [job for job in place.cluster.all(kinds.JOB, namespace=NAMESPACE) if job["metadata"].get("ownerReferences")]
    assert [job["metadata"]["name"] for job in own if job["metadata"]["name"] == real["metadata"]["name"]] == []
    assert len([job for job in own if "import" in job["metadata"]["name"]]) == 1


@attack(
    17, does="a pod that listens and says nothing", by=EDITOR, ends="contained: one question per pass, a second each"
)
def test_a_silent_pod_costs_a_second_at_most() -> None:
    async def ask(port: int) -> object:
        async with asyncio.timeout(10):
            return await progress.probe("127.0.0.1", port=port)

    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel answers, nobody else does
        assert asyncio.run(ask(silent.getsockname()[1])) is None


def key(namespace: str, number: int) -> Key:
    """One of many refreshes."""
    return Key(kind=names.REFRESH, namespace=namespace, name=f"r{number}")


@attack(
    16, does="300 objects that are due, before another tenant's one", by=BY, ends="contained: namespaces take turns"
)
def test_a_newcomer_of_another_namespace_is_next() -> None:
    queue = WorkQueue(share=6, clock=Clock())
    for number in range(300):
        queue.add(key("hostile", number))
    first = queue.poll()
    queue.add(key("quiet", 0))
    assert first is not None
    assert [one.namespace for one in (queue.poll(), queue.poll()) if one] == ["hostile", "quiet"]


@attack(17, does="slow passes in all places", by=EDITOR, ends="contained: a quarter of the workers waits for others")
def test_no_namespace_has_all_workers() -> None:
    queue = WorkQueue(share=6, clock=Clock())
    for number in range(300):
        queue.add(key("hostile", number))
    taken = [one for one in (queue.poll() for _ in range(8)) if one]
    queue.add(key("quiet", 0))
    assert (len(taken), queue.poll()) == (6, key("quiet", 0))
    queue.done(taken[0])
    assert queue.poll() is not None


@attack(
    16, does="turns of many namespaces with many objects", by=BY, ends="contained: each gets its share, none is lost"
)
def test_turns_go_round() -> None:
    queue = WorkQueue(share=2, clock=Clock())
    for namespace in ("a", "b", "c"):
        for number in range(3):
            queue.add(key(namespace, number))
    order = []
    while (one := queue.poll()) is not None:
        order.append(one)
        queue.done(one)
    assert [one.namespace for one in order] == ["a", "b", "c"] * 3
    assert len(set(order)) == 9


@attack(
    18,
    does="a flood of /metrics",
    by="whoever reaches port 8080",
    ends="contained: written once in five seconds, beside the loop",
)
def test_a_flood_of_metrics_is_one_page() -> None:
    threads: list[int] = []

    def write() -> bytes:
        threads.append(threading.get_ident())
        time.sleep(0.05)
        return b"page"

    async def flood() -> list[bytes]:
        page = health.Page(write, clock=Clock())
        return await asyncio.gather(*(page.body() for _ in range(200)))

    assert asyncio.run(flood()) == [b"page"] * 200
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


@attack(
    13, does="the same and many tokens", by=BY, ends="contained: a token opens one run, and only when none is at work"
)
def test_tokens_that_come_while_a_run_is_at_work_open_no_job() -> None:
    place = World()
    place.held.add(Stage.IMPORT)
    for number in range(30):
        place.edit(
            lambda refresh, n=number: (
                refresh["metadata"].setdefault("annotations", {}).update({names.ANNOTATION_REFRESH: str(n)})
            )
        )
        place.survive(world.RESIDUAL)
        place.survive(world.REFRESH)
        place.play()
    assert len(place.jobs(Stage.IMPORT)) == 1


@attack(14, does="99 changes of a spec", by=BY, ends="contained: at most one Job at a time, ten entries of history")
def test_changes_of_a_spec_pile_nothing_up() -> None:
    place = World()
    place.settle()
    for number in range(40):
        place.edit(lambda refresh, n=number: refresh["spec"].setdefault("training", {}).update(seed=n))
        place.survive(world.REFRESH)
    assert len(place.live_jobs()) <= 1
    assert len(place.status().history) <= 10


@attack(
    12,
    does="a finalizer that is torn off in the middle of a run",
    by=BY,
    ends="contained: the garbage collector takes the Jobs",
)
def test_an_object_that_goes_at_once_takes_its_jobs_along() -> None:
    place = World()
    place.hold_at(Stage.IMPORT)
    place.edit(lambda refresh: refresh["metadata"].update(finalizers=[]))
    place.cluster.remove(kinds.MODEL_REFRESH, namespace=NAMESPACE, name="news")
    asyncio.run(reconcile.one_pass(place.cluster, world.REFRESH, now=place.now))
    assert place.jobs(Stage.IMPORT) == []


@attack(
    15,
    does="a profile that is deleted in use and comes back",
    by="an admin",
    ends="contained: ProfileNotFound, then it goes on",
)
def test_a_profile_that_comes_back_is_gone_on_with() -> None:
    place = World()
    document = place.cluster.peek(kinds.REFRESH_PROFILE, name="default")
    place.cluster.remove(kinds.REFRESH_PROFILE, name="default")
    assert place.settle().phase == "ProfileNotFound"
    assert document is not None
    place.cluster.add(kinds.REFRESH_PROFILE, builders.profile())
    assert place.wait(60).phase == "Promoted"


@attack(44, does="schedules that come once in decades, or every minute", by=BY, ends="contained: reckoned at once")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("cron", ["0 0 29 2 1", "*/1 * * * *", "59 23 31 12 *", "0 0 31 1,3 0", "0 0 29 2 *"])
def test_a_rare_schedule_is_reckoned_at_once(cron: str) -> None:
    triggers = builders.refresh_spec({"spec.triggers": {"schedule": cron}}).triggers
    following = schedule.next_tick(triggers, now=START)
    assert following is None or following > START
    newest = schedule.last_tick(triggers, since=START - datetime.timedelta(days=3650), now=START)
    assert newest is None or newest <= START


@attack(44, does="a schedule that never comes", by=BY, ends="refused: InvalidSpec")
def test_a_schedule_that_never_comes_is_refused() -> None:
    with pytest.raises(errors.SpecError, match="cron expression"):
        builders.refresh_spec({"spec.triggers": {"schedule": "0 0 30 2 *"}})


@attack(
    18,
    does="connections to the operator's page that say nothing",
    by="whoever reaches port 8080",
    ends="contained: closed after half a minute, and beyond 200 at once",
)
def test_silent_connections_to_the_operator_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_ROUND_SECONDS", 0.05)
    monkeypatch.setattr(health, "_CONNECTIONS", 5)
    signs = health.HealthChecks(resync_age=lambda: 0.0, resync_limit=60, watching=lambda: True, uptime=lambda: 1.0)

    async def hold(count: int) -> int:
        runner = await health.serve(signs, port=0)
        try:
            port = next(address[1] for address in runner.addresses if len(address) == 2)  # IPv4
            peers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
            async with asyncio.timeout(20):
                ends = [await reader.read() for reader, _ in peers]
            for _, writer in peers:
                writer.close()
            return len(ends)
        finally:
            await runner.cleanup()

    assert asyncio.run(hold(12)) == 12


@attack(
    16,
    does="3,000 pods with the labels of a Deployment, 3,000 Deployments with ours",
    by=EDITOR,
    ends="contained: so many are looked at; what is not known keeps versions",
)
def test_lists_beside_the_children_have_an_end() -> None:
    place = World({"spec.retain.versions": 1})
    place.settle()
    for number in range(3):
        place.answers[Stage.PREPARE] = world.preparing(f"{number}" * 64)
        place.edit(
            lambda refresh, n=number: (
                refresh["metadata"].setdefault("annotations", {}).update({names.ANNOTATION_REFRESH: str(n)})
            )
        )
        place.settle()
    for number in range(2100):
        labels = {names.LABEL_REFRESH: "x"}
        place.cluster.add(
            kinds.DEPLOYMENT,
            world.deployment() | {"metadata": {"name": f"d-{number}", "namespace": NAMESPACE, "labels": labels}},
        )
    assert max(count for _, _, count in reads(place)) <= 2000
