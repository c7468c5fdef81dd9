"""What reading promises, of both ports."""

import pytest

from modelrefresh import errors
from modelrefresh.kube import kinds
from tests.kube.conftest import Arena, Stage, job


def test_an_absent_object_is_not_found(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        with pytest.raises(errors.NotFoundError, match="absent"):
            await arena.port.get(kinds.JOB, namespace=arena.namespace, name="absent")

    stage(scenario)


def test_a_read_object_carries_its_kind_and_no_managed_fields(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        await arena.port.create(kinds.JOB, job(arena))
        (found,) = await arena.port.find(kinds.JOB, namespace=arena.namespace)
        got = await arena.port.get(kinds.JOB, namespace=arena.namespace, name="train-1")
        assert (found["apiVersion"], found["kind"]) == (got["apiVersion"], got["kind"]) == ("batch/v1", "Job")
        assert "managedFields" not in found["metadata"]
        assert "managedFields" not in got["metadata"]

    stage(scenario)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [("", {"a", "b", "c"}), ("run=1", {"a"}), ("run", {"a", "b"}), ("run in (1,2),stage=train", {"a", "b"})],
)
def test_a_list_holds_what_the_selector_matches(stage: Stage, selector: str, expected: set[str]) -> None:
    async def scenario(arena: Arena) -> None:
        await arena.port.create(kinds.JOB, job(arena, "a", labels={"run": "1", "stage": "train"}))
        await arena.port.create(kinds.JOB, job(arena, "b", labels={"run": "2", "stage": "train"}))
        await arena.port.create(kinds.JOB, job(arena, "c"))
        found = await arena.port.find(kinds.JOB, namespace=arena.namespace, selector=selector)
        assert {document["metadata"]["name"] for document in found} == expected

    stage(scenario)


@pytest.mark.parametrize(
    ("fields", "expected"), [("metadata.name=b", {"b"}), ("metadata.name=absent", set()), ("", {"a", "b"})]
)
def test_a_list_holds_what_the_field_selector_matches(stage: Stage, fields: str, expected: set[str]) -> None:
    async def scenario(arena: Arena) -> None:
        for name in "ab":
            await arena.port.create(kinds.JOB, job(arena, name))
        found = await arena.port.find(kinds.JOB, namespace=arena.namespace, fields=fields)
        assert {document["metadata"]["name"] for document in found} == expected

    stage(scenario)


def test_a_field_that_nobody_declared_selectable_is_refused(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        with pytest.raises(errors.InvalidError, match=r"spec\.suspend"):
            await arena.port.find(kinds.JOB, namespace=arena.namespace, fields="spec.suspend=true")

    stage(scenario)


def test_pages_hold_each_object_once(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        for name in "abcde":
            await arena.port.create(kinds.JOB, job(arena, name))
        pages = [page async for page in arena.port.pages(kinds.JOB, namespace=arena.namespace)]
        assert sorted(document["metadata"]["name"] for page in pages for document in page) == list("abcde")

    stage(scenario)
