"""Whose turn it is when an object changes."""

import pytest

from modelrefresh.kube import kinds
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document
from modelrefresh.runtime.queue import Key
from modelrefresh.runtime.watch_index import Routes


def refresh(name: str = "news", **spec: object) -> Document:
    """A ModelRefresh of team-a."""
    usual = {"residualRef": {"name": "chat-residual"}, "rollout": {"deployment": {"name": "chat"}}}
    return {"metadata": {"name": name, "namespace": "team-a"}, "spec": {**usual, **spec}}


def named(name: str, namespace: str | None = "team-a", **metadata: object) -> Document:
    """Any object."""
    return {"metadata": {"name": name, "namespace": namespace, **metadata}}


def key(name: str = "news", kind: Kind = kinds.MODEL_REFRESH) -> Key:
    """A key of team-a."""
    return Key(kind=kind.kind, namespace="team-a", name=name)


def knowing(*documents: Document) -> Routes:
    """Routes that have seen these refreshes."""
    routes = Routes()
    for document in documents:
        routes.keys(kinds.MODEL_REFRESH, document)
    return routes


def test_a_refresh_concerns_itself() -> None:
    assert Routes().keys(kinds.MODEL_REFRESH, refresh()) == {key()}


def test_a_residual_concerns_itself_and_the_refreshes_that_refer_to_it() -> None:
    routes = knowing(refresh("a"), refresh("b"), refresh("c", residualRef={"name": "other"}))
    expected = {key("chat-residual", kinds.INSTRUCTION_RESIDUAL), key("a"), key("b")}
    assert routes.keys(kinds.INSTRUCTION_RESIDUAL, named("chat-residual")) == expected


def test_a_profile_concerns_all_that_use_it_by_name_or_by_default() -> None:
    routes = knowing(refresh("a"), refresh("b", profile="gpu"))
    routes.keys(kinds.INSTRUCTION_RESIDUAL, named("r"))
    found = routes.keys(kinds.REFRESH_PROFILE, named("default", None))
    assert found == {key("a"), key("r", kinds.INSTRUCTION_RESIDUAL)}


def test_a_job_concerns_its_owner() -> None:
    reference = {"apiVersion": "modelrefresh.dev/v1alpha1", "kind": "ModelRefresh", "name": "news", "uid": "1"}
    assert Routes().keys(kinds.JOB, named("news-1-train-1", ownerReferences=[reference])) == {key()}


def test_a_job_of_somebody_else_concerns_nobody() -> None:
    reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "news", "uid": "1"}
    assert Routes().keys(kinds.JOB, named("x", ownerReferences=[reference])) == set()


def test_a_deployment_concerns_the_refreshes_that_roll_it() -> None:
    assert knowing(refresh()).keys(kinds.DEPLOYMENT, named("chat")) == {key()}


def test_a_deployment_of_another_namespace_concerns_nobody() -> None:
    assert knowing(refresh()).keys(kinds.DEPLOYMENT, named("chat", "team-b")) == set()


def test_a_changed_reference_replaces_the_old_one() -> None:
    routes = knowing(refresh(), refresh(residualRef={"name": "other"}))
    assert key() not in routes.keys(kinds.INSTRUCTION_RESIDUAL, named("chat-residual"))
    assert key() in routes.keys(kinds.INSTRUCTION_RESIDUAL, named("other"))


def test_a_deleted_refresh_is_looked_at_once_more_and_then_forgotten() -> None:
    routes = knowing(refresh())
    assert routes.keys(kinds.MODEL_REFRESH, refresh(), deleted=True) == {key()}
    assert routes.keys(kinds.DEPLOYMENT, named("chat")) == set()


def test_a_spec_of_another_shape_refers_to_nothing() -> None:
    broken: Document = {
        "metadata": {"name": "news", "namespace": "team-a"},
        "spec": {"residualRef": "chat", "rollout": []},
    }
    assert Routes().keys(kinds.MODEL_REFRESH, broken) == {key()}


def moved(document: Document, status: dict[str, object] | None = None, **metadata: object) -> Document:
    """The object with other metadata or another status."""
    return {**document, "metadata": {**document["metadata"], **metadata}, "status": status or {}}


def test_a_status_that_moved_alone_is_no_news_of_the_object() -> None:
    routes = Routes()
    assert routes.news(kinds.MODEL_REFRESH, refresh()) == {key()}
    written = moved(refresh(), status={"phase": "Running"}, resourceVersion="2")
    assert routes.news(kinds.MODEL_REFRESH, written) == set()


@pytest.mark.parametrize(
    "change",
    [{"generation": 2}, {"annotations": {"a": "b"}}, {"deletionTimestamp": "now"}, {"finalizers": []}, {"uid": "2"}],
    ids=lambda change: next(iter(change)),
)
def test_whatever_a_pass_reacts_to_is_news(change: dict[str, object]) -> None:
    routes = Routes()
    routes.news(kinds.MODEL_REFRESH, refresh())
    assert routes.news(kinds.MODEL_REFRESH, moved(refresh(), **change)) == {key()}


def test_a_residual_whose_status_moved_is_news_to_those_that_refer_to_it() -> None:
    routes = knowing(refresh("a"))
    routes.news(kinds.INSTRUCTION_RESIDUAL, named("chat-residual"))
    ready = moved(named("chat-residual"), status={"digest": "e"})
    assert routes.news(kinds.INSTRUCTION_RESIDUAL, ready) == {key("a")}


def test_an_object_that_comes_again_after_its_deletion_is_news() -> None:
    routes = Routes()
    routes.news(kinds.MODEL_REFRESH, refresh())
    assert routes.news(kinds.MODEL_REFRESH, refresh(), deleted=True) == {key()}
    assert routes.news(kinds.MODEL_REFRESH, refresh()) == {key()}
