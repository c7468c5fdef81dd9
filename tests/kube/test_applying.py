"""What server-side apply promises, of both ports."""

import asyncio

import pytest

from modelrefresh import errors
from modelrefresh.kube import kinds
from tests.kube.conftest import SAMPLE, Arena, Stage, deployment, job, rollout, sample


def test_apply_creates_what_is_absent(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        await arena.port.apply(kinds.JOB, job(arena))
        assert await arena.port.get(kinds.JOB, namespace=arena.namespace, name="train-1")

    stage(scenario)


def test_apply_for_a_certain_uid_creates_nothing(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        with pytest.raises(errors.ConflictError):
            await arena.port.apply(kinds.JOB, job(arena, uid="00000000-0000-0000-0000-00000000beef"))

    stage(scenario)


def test_apply_leaves_the_users_fields_alone(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        await arena.port.create(kinds.DEPLOYMENT, deployment(arena))
        after = await arena.port.apply(kinds.DEPLOYMENT, rollout(arena, "one"))
        (container,) = after["spec"]["template"]["spec"]["containers"]
        assert container["image"] == "example.invalid/server:1"
        assert {item["name"]: item["value"] for item in container["env"]} == {
            "MODE": "chat",
            "MODELREFRESH_MODEL": "one",
        }

    stage(scenario)


def test_applying_another_value_changes_it_and_the_generation(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        await arena.port.create(kinds.DEPLOYMENT, deployment(arena))
        one = await arena.port.apply(kinds.DEPLOYMENT, rollout(arena, "one"))
        two = await arena.port.apply(kinds.DEPLOYMENT, rollout(arena, "two"))
        values = [item["value"] for item in two["spec"]["template"]["spec"]["containers"][0]["env"]]
        assert "two" in values
        assert "one" not in values
        assert two["metadata"]["generation"] == one["metadata"]["generation"] + 1

    stage(scenario)


def test_applying_nothing_gives_every_field_back(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        created = await arena.port.create(kinds.DEPLOYMENT, deployment(arena))
        await arena.port.apply(kinds.DEPLOYMENT, rollout(arena, "one"))
        after = await arena.port.apply(kinds.DEPLOYMENT, rollout(arena, None))
        template = after["spec"]["template"]
        assert template["spec"]["containers"][0]["env"] == [{"name": "MODE", "value": "chat"}]
        assert not template["metadata"].get("annotations")
        assert (
            template["spec"]["containers"][0]["image"] == created["spec"]["template"]["spec"]["containers"][0]["image"]
        )

    stage(scenario)


def test_apply_takes_a_field_from_its_user_by_force(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        theirs = deployment(arena)
        theirs["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "MODELREFRESH_MODEL", "value": "theirs"}]
        await arena.port.create(kinds.DEPLOYMENT, theirs)
        after = await arena.port.apply(kinds.DEPLOYMENT, rollout(arena, "ours"))
        (variable,) = after["spec"]["template"]["spec"]["containers"][0]["env"]
        assert variable == {"name": "MODELREFRESH_MODEL", "value": "ours"}

    stage(scenario)


def test_applying_an_equal_document_changes_no_version(stage: Stage) -> None:
    async def scenario(arena: Arena) -> None:
        first = await arena.port.apply(SAMPLE, sample(arena, labels={"a": "b"}))
        # Times of managed fields have seconds: an apply within the same second could hide a change.
        await asyncio.sleep(0 if first["metadata"]["uid"].startswith("00000000-") else 1.1)
        second = await arena.port.apply(SAMPLE, sample(arena, labels={"a": "b"}))
        assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]

    stage(scenario)


@pytest.mark.parametrize("kind", [SAMPLE, kinds.DEPLOYMENT], ids=lambda kind: kind.kind)
def test_apply_to_a_stale_version_is_a_conflict(stage: Stage, kind: kinds.Kind) -> None:
    async def scenario(arena: Arena) -> None:
        document = sample(arena) if kind is SAMPLE else deployment(arena)
        stale = (await arena.port.apply(kind, document))["metadata"]["resourceVersion"]
        document["metadata"]["annotations"] = {"step": "1"}
        await arena.port.apply(kind, document)
        document["metadata"] |= {"annotations": {"step": "2"}, "resourceVersion": stale}
        with pytest.raises(errors.ConflictError):
            await arena.port.apply(kind, document)

    stage(scenario)
