"""What writing promises, of both ports."""

import pytest

from modelrefresh import errors
from modelrefresh.kube import kinds
from modelrefresh.kube.port import Document
from tests.kube.conftest import SAMPLE, Arena, Stage, deployment, job, sample


def test_a_taken_name_is_a_conflict(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        await arena.port.create(kinds.JOB, job(arena))
        with pytest.raises(errors.ConflictError):
            await arena.port.create(kinds.JOB, job(arena))

    stage(scenario)


def test_the_template_of_a_job_is_immutable(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        await arena.port.apply(kinds.JOB, job(arena))
        changed = job(arena)
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = "example.invalid/jobs:2"
        with pytest.raises(errors.InvalidError):
            await arena.port.apply(kinds.JOB, changed)

    stage(scenario)


def test_a_label_that_is_no_label_is_invalid(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        with pytest.raises(errors.InvalidError):
            await arena.port.create(kinds.JOB, job(arena, labels={"run": "x" * 64}))

    stage(scenario)


def test_a_patch_of_a_stale_version_is_a_conflict(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        before = await arena.port.create(SAMPLE, sample(arena))
        version = before["metadata"]["resourceVersion"]
        patch = {key: before[key] for key in ("apiVersion", "kind")}
        patch["metadata"] = {"name": "one", "namespace": arena.namespace, "resourceVersion": version}
        patch["metadata"]["finalizers"] = ["modelrefresh.dev/cleanup"]
        after = await arena.port.patch(SAMPLE, patch)
        assert after["metadata"]["finalizers"] == ["modelrefresh.dev/cleanup"]
        with pytest.raises(errors.ConflictError):
            await arena.port.patch(SAMPLE, {**patch, "metadata": {**patch["metadata"], "finalizers": []}})
        current = {**patch["metadata"], "finalizers": [], "resourceVersion": after["metadata"]["resourceVersion"]}
        cleaned = await arena.port.patch(SAMPLE, {**patch, "metadata": current})
        assert not cleaned["metadata"].get("finalizers")

    stage(scenario)


def test_a_patch_removes_what_it_sets_to_null(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        await arena.port.create(kinds.JOB, job(arena, annotations={"keep": "1", "drop": "1"}))
        after = await arena.port.patch(
            kinds.JOB, arena.named(kinds.JOB, "train-1", metadata={"annotations": {"drop": None}})
        )
        assert "drop" not in after["metadata"]["annotations"]
        assert after["metadata"]["annotations"]["keep"] == "1"

    stage(scenario)


def test_a_status_is_replaced_as_a_whole(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        created = await arena.port.create(SAMPLE, sample(arena))
        first = await arena.port.put_status(
            SAMPLE, _with_status(arena, created, {"observedGeneration": 1, "digest": "0" * 64})
        )
        second = await arena.port.put_status(SAMPLE, _with_status(arena, first, {"observedGeneration": 1}))
        assert second["status"] == {"observedGeneration": 1}
        assert second["spec"] == created["spec"]
        assert second["metadata"]["generation"] == created["metadata"]["generation"]

    stage(scenario)


def test_a_status_for_a_stale_version_is_a_conflict(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        created = await arena.port.create(SAMPLE, sample(arena))
        await arena.port.put_status(SAMPLE, _with_status(arena, created, {"observedGeneration": 1}))
        with pytest.raises(errors.ConflictError):
            await arena.port.put_status(SAMPLE, _with_status(arena, created, {}))

    stage(scenario)


def test_an_equal_status_changes_no_version(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        created = await arena.port.create(SAMPLE, sample(arena))
        status = {"observedGeneration": 1}
        first = await arena.port.put_status(SAMPLE, _with_status(arena, created, status))
        second = await arena.port.put_status(SAMPLE, _with_status(arena, first, status))
        assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]

    stage(scenario)


def test_a_status_without_a_version_is_refused(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        await arena.port.create(SAMPLE, sample(arena))
        with pytest.raises(errors.InvalidError):
            await arena.port.put_status(SAMPLE, {**sample(arena), "status": {}})

    stage(scenario)


def test_a_status_given_at_creation_is_dropped(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        created = await arena.port.create(kinds.JOB, {**job(arena), "status": {"succeeded": 1}})
        assert not created.get("status", {}).get("succeeded")

    stage(scenario)


def test_only_the_object_that_was_seen_is_deleted(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        created = await arena.port.create(kinds.DEPLOYMENT, deployment(arena))
        place = {"namespace": arena.namespace, "name": "chat"}
        with pytest.raises(errors.ConflictError):
            await arena.port.delete(kinds.DEPLOYMENT, **place, uid="00000000-0000-0000-0000-00000000beef")
        await arena.port.delete(kinds.DEPLOYMENT, **place, uid=created["metadata"]["uid"])
        with pytest.raises(errors.NotFoundError):
            await arena.port.get(kinds.DEPLOYMENT, **place)

    stage(scenario)


def test_an_absent_object_counts_as_deleted(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        await arena.port.delete(kinds.JOB, namespace=arena.namespace, name="absent", uid="any")
        assert not await arena.port.find(kinds.JOB, namespace=arena.namespace)

    stage(scenario)


def test_a_finalizer_holds_a_deleted_object_until_it_is_removed(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        kind, place = SAMPLE, {"namespace": arena.namespace, "name": "one"}
        created = await arena.port.create(kind, sample(arena, finalizers=["modelrefresh.dev/cleanup"]))
        await arena.port.delete(kind, **place, uid=created["metadata"]["uid"])
        held = await arena.port.get(kind, **place)
        assert held["metadata"]["deletionTimestamp"]
        metadata = {"finalizers": [], "resourceVersion": held["metadata"]["resourceVersion"]}
        await arena.port.patch(kind, arena.named(kind, "one", metadata=metadata))
        with pytest.raises(errors.NotFoundError):
            await arena.port.get(kind, **place)

    stage(scenario)


def _with_status(arena: Arena, seen: Document, status: Document) -> Document:
    version = seen["metadata"]["resourceVersion"]
    return arena.named(SAMPLE, "one", metadata={"resourceVersion": version}, status=status)
