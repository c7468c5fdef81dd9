"""What the operator, and a tenant, may do."""

from collections.abc import Iterator
from typing import Any

import pytest

from modelrefresh.runtime import access
from tests.chart import render

BESIDES = {
    ("modelrefresh.dev", "modelrefreshes/finalizers"): {"update"},
    ("modelrefresh.dev", "instructionresiduals/finalizers"): {"update"},
    ("", "services"): {"get"},
}
"""What no request of ours shows in `access.RULES`: guarded owner references, and looking at a name that is taken."""


def _operator() -> dict[tuple[str, str], set[str]]:
    """Everything that the operator's code says it uses, and `BESIDES`."""
    wanted = {key: set(verbs) for key, verbs in BESIDES.items()}
    for kind, subresource, verbs in access.RULES:
        resource = "/".join(part for part in (kind.plural, subresource) if part)
        wanted.setdefault((kind.group, resource), set()).update(verbs)
    return wanted


def _granted(role: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    granted: dict[tuple[str, str], set[str]] = {}
    for group, resource, verbs in _rules(role):
        granted.setdefault((group, resource), set()).update(verbs)
    return granted


def _rules(role: dict[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield group, resource, rule["verbs"]


def _role(kind: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    [role] = [role for role in render.of_kind(kind, values) if role["metadata"]["name"] == name]
    return role


def test_the_operator_may_do_what_is_listed_and_nothing_else() -> None:
    assert _granted(_role("ClusterRole", "platform-release-modelrefresh", render.DEFAULT)) == _operator()


@pytest.mark.parametrize("name", render.MATRIX)
@pytest.mark.parametrize("kind", ["ClusterRole", "Role"])
def test_no_role_grants_wildcards_secrets_or_ways_into_pods(kind: str, name: str) -> None:
    forbidden = {
        "*",
        "secrets",
        "pods/exec",
        "pods/attach",
        "pods/portforward",
        "serviceaccounts/token",
        "nodes",
        "escalate",
        "bind",
        "impersonate",
    }
    roles = render.of_kind(kind, render.MATRIX[name])
    assert roles
    for role in roles:
        for group, resource, verbs in _rules(role):
            assert forbidden.isdisjoint({group, resource, *verbs})


def test_in_named_namespaces_the_only_cluster_wide_right_is_to_read_profiles() -> None:
    role = _role("ClusterRole", "platform-release-modelrefresh", render.NAMESPACED)
    assert _granted(role) == {("modelrefresh.dev", "refreshprofiles"): {"get", "list", "watch"}}


def test_in_named_namespaces_each_gets_one_role_with_the_rest() -> None:
    roles = [role for role in render.of_kind("Role", render.NAMESPACED) if role["metadata"]["namespace"] != "platform"]
    assert [role["metadata"]["namespace"] for role in roles] == ["team-a", "team-b"]
    assert all(
        _granted(role) == {key: verbs for key, verbs in _operator().items() if key[1] != "refreshprofiles"}
        for role in roles
    )


def test_the_lease_is_the_only_one_that_can_be_changed() -> None:
    role = _role("Role", "release-modelrefresh-lease", render.DEFAULT)
    assert role["metadata"]["namespace"] == "platform"
    assert [(rule.get("resourceNames"), rule["verbs"]) for rule in role["rules"]] == [
        (None, ["create"]),
        (["release-modelrefresh"], ["get", "patch"]),
    ]


def test_a_tenant_with_the_edit_role_writes_refreshes_and_residuals_but_no_version_and_no_profile() -> None:
    edit = _granted(_role("ClusterRole", "platform-release-modelrefresh-edit", render.DEFAULT))
    assert set(edit) == {("modelrefresh.dev", "modelrefreshes"), ("modelrefresh.dev", "instructionresiduals")}


def test_every_binding_is_to_the_operators_account() -> None:
    bindings = render.of_kind("ClusterRoleBinding", render.NAMESPACED) + render.of_kind(
        "RoleBinding", render.NAMESPACED
    )
    assert len(bindings) == 4
    account = {"kind": "ServiceAccount", "name": "release-modelrefresh", "namespace": "platform"}
    assert all(binding["subjects"] == [account] for binding in bindings)
