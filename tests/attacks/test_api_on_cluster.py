"""What a tenant with the chart's user roles asks of a real API server, and does not get."""

import copy
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from modelrefresh.api import names
from tests import builders
from tests.attacks import tenant
from tests.attacks.catalogue import attack
from tests.attacks.tenant import Tenant

pytestmark = pytest.mark.cluster
_BY = "a tenant with the chart's user roles"
_HEX = "a" * 40
_VERBS_BEYOND = [
    ("GET", "/api/v1/namespaces/{own}/secrets"),
    ("POST", "/api/v1/namespaces/{own}/secrets"),
    ("GET", "/api/v1/namespaces/{own}/pods"),
    ("POST", "/api/v1/namespaces/{own}/pods"),
    ("GET", "/api/v1/namespaces/{own}/pods/x/log"),
    ("POST", "/api/v1/namespaces/{own}/pods/x/exec"),
    ("PATCH", "/api/v1/namespaces/{own}/pods/x/ephemeralcontainers"),
    ("GET", "/api/v1/namespaces/{own}/configmaps"),
    ("POST", "/api/v1/namespaces/{own}/persistentvolumeclaims"),
    ("POST", "/apis/batch/v1/namespaces/{own}/jobs"),
    ("GET", "/apis/batch/v1/namespaces/{own}/jobs"),
    ("PATCH", "/apis/apps/v1/namespaces/{own}/deployments/x"),
    ("POST", "/apis/apps/v1/namespaces/{own}/deployments"),
    ("POST", "/apis/networking.k8s.io/v1/namespaces/{own}/networkpolicies"),
    ("DELETE", "/apis/networking.k8s.io/v1/namespaces/{own}/networkpolicies/x"),
    ("POST", "/apis/modelrefresh.dev/v1alpha1/namespaces/{own}/modelversions"),
    ("DELETE", "/apis/modelrefresh.dev/v1alpha1/namespaces/{own}/modelversions/x"),
    ("PATCH", "/apis/modelrefresh.dev/v1alpha1/namespaces/{own}/modelversions/x/status"),
    ("PATCH", "/apis/modelrefresh.dev/v1alpha1/namespaces/{own}/modelrefreshes/x/status"),
    ("PATCH", "/apis/modelrefresh.dev/v1alpha1/namespaces/{own}/instructionresiduals/x/status"),
    ("PATCH", "/apis/modelrefresh.dev/v1alpha1/namespaces/{own}/modelrefreshes/x/finalizers"),
    ("POST", "/apis/modelrefresh.dev/v1alpha1/refreshprofiles"),
    ("PATCH", "/apis/modelrefresh.dev/v1alpha1/refreshprofiles/default"),
    ("DELETE", "/apis/modelrefresh.dev/v1alpha1/refreshprofiles/default"),
    ("POST", "/api/v1/namespaces/{own}/serviceaccounts/default/token"),
    ("PATCH", "/apis/coordination.k8s.io/v1/namespaces/{own}/leases/modelrefresh"),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/{own}/rolebindings"),
]
_FOREIGN = [
    ("GET", names.REFRESH),
    ("POST", names.REFRESH),
    ("GET", names.RESIDUAL),
    ("POST", names.RESIDUAL),
    ("GET", names.MODEL_VERSION),
    ("DELETE", names.REFRESH),
]
_NO_SUCH_FIELD = {
    "spec.image": "evil:latest",
    "spec.training.image": "evil:latest",
    "spec.serviceAccountName": "admin",
    "spec.podTemplate": {"spec": {"hostNetwork": True}},
    "spec.training.env": [{"name": "LD_PRELOAD", "value": "/evil.so"}],
    "spec.training.command": ["sh", "-c", "id"],
    "spec.training.nodeSelector": {"kubernetes.io/hostname": "node"},
    "spec.data.hostPath": {"path": "/etc"},
    "spec.workspaceClaim": "other",
    "spec.rollout.deployment.image": "evil:latest",
    "spec.priorityClassName": "system-node-critical",
    "spec.training.securityContext": {"privileged": True},
}
_NAMESPACES_OF_OTHERS = {
    "spec.residualRef.namespace": "neighbour",
    "spec.base.namespace": "neighbour",
    "spec.data.namespace": "neighbour",
    "spec.rollout.deployment.namespace": "neighbour",
    "spec.profileNamespace": "neighbour",
}
_BAD_URIS = [
    "pvc://models/../secrets", "pvc://models/a/../../etc", "pvc://models/./a", "pvc://models//a", "pvc:///etc/passwd",
    "/etc/passwd", "file:///etc/passwd", "http://169.254.169.254/latest/meta-data", "https://example.org/x",
    "s3://bucket/key", "PVC://models/base", "pvc://Models/base", "pvc://models", "pvc://", "pvc://-x/a",
    "hf://org/name", "hf://org/name@main", f"hf://org/name@{_HEX[:39]}", f"hf://org/name@{_HEX.upper()}",
    f"hf://../name@{_HEX}", f"hf://org/name/../other@{_HEX}", "pvc://models/$(HF_TOKEN)", "pvc://models/a b",
    "pvc://models/a\nb", "pvc://models/a\tb", "pvc://models/", " pvc://models/a", "pvc://models/a ", "git://x/y",
    f"pvc://models/{'a' * 600}", "pvc://models/a\x00b", f"pvc://{'c' * 254}/a",
]  # fmt: skip
_CLAIM_ALONE = "pvc://models/"
"""A whole claim is a source; it is in the list above to prove that the list tells good from bad."""
_UNSEEN = [
    "\x1b[2J",
    "\x7f",
    "\x85",
    "\x9b31m",
    "\u202e",
    "\u200b",
    "\u00a0",
    "\u2028",
    "\ufeff",
    "\u061c",
    "\u180e",
    "\u2003",
    "\u3000",
    "\ue000",
    "\ufffa",
]
_NUMBERS = ["nan", "inf", "-inf", "1e999", "0x10", "1_000", "$(HOME)", "1; id", "`id`", "{{7*7}}"]  # fmt: skip
_PLACES_OF_NAMES = {
    "spec.evaluation.suites[0].name": "../../etc",
    "spec.evaluation.gates[0].metric": "$(id)",
    "spec.rollout.deployment.container": "chat;id",
    "spec.rollout.deployment.name": "../chat",
    "spec.profile": "../default",
    "spec.residualRef.name": "a/b",
    "spec.schedule.cron": "$(id)",
    "spec.schedule.timeZone": "../../etc/passwd",
}


@pytest.fixture(scope="module")
def attacker() -> Iterator[Tenant]:
    with tenant.moved_in() as someone:
        yield someone


def _with(edits: dict[str, object], *, name: str = "") -> dict[str, Any]:
    return builders.refresh(edits, name=name or f"odd-{uuid.uuid4().hex[:8]}")


@attack(1, does="verbs beyond the role", by=_BY, ends="refused: Forbidden")
@pytest.mark.parametrize(("verb", "path"), _VERBS_BEYOND)
def test_a_tenant_may_do_nothing_beyond_their_kinds(attacker: Tenant, verb: str, path: str) -> None:
    body = {} if verb in ("POST", "PATCH") else None
    assert attacker.ask(verb, path.format(own=attacker.namespace), body).code == 403


@attack(1, does="acting as somebody else (impersonation)", by=_BY, ends="refused: Forbidden")
def test_a_tenant_may_not_act_as_somebody_else(attacker: Tenant) -> None:
    attacker.client.set_default_header("Impersonate-User", "system:admin")
    try:
        answer = attacker.ask("GET", attacker.path(names.REFRESH))
    finally:
        del attacker.client.default_headers["Impersonate-User"]
    assert answer.code == 403


@attack(2, does="reading, listing, creating and deleting in another namespace", by=_BY, ends="refused: Forbidden")
@pytest.mark.parametrize(("verb", "kind"), _FOREIGN)
def test_a_tenant_reaches_no_other_namespace(attacker: Tenant, verb: str, kind: str) -> None:
    path = attacker.path(kind, "x" if verb == "DELETE" else "", namespace=attacker.other)
    body = builders.refresh() if verb == "POST" else None
    assert attacker.ask(verb, path, body).code == 403


@attack(2, does="listing the kinds of the whole cluster", by=_BY, ends="refused: Forbidden")
@pytest.mark.parametrize("kind", [names.REFRESH, names.RESIDUAL, names.MODEL_VERSION])
def test_a_tenant_lists_nothing_of_the_whole_cluster(attacker: Tenant, kind: str) -> None:
    assert attacker.ask("GET", f"/apis/{names.API_VERSION}/{names.PLURALS[kind]}").code == 403


@attack(3, does="choosing image, account, volumes, command, node in a spec", by=_BY, ends="refused: unknown field")
@pytest.mark.parametrize("path", _NO_SUCH_FIELD)
def test_a_spec_chooses_nothing_of_a_pod(attacker: Tenant, path: str) -> None:
    answer = attacker.create(_with({path: _NO_SUCH_FIELD[path]}))
    assert "unknown field" in answer.message


@attack(3, does="the same without strict validation", by=_BY, ends="contained: pruned")
def test_fields_that_do_not_exist_are_not_stored(attacker: Tenant) -> None:
    edits = {path: value for path, value in _NO_SUCH_FIELD.items() if not path.startswith("spec.rollout")}
    assert attacker.create(_with(edits, name="pruned"), strict=False).code == 201
    stored = attacker.read(names.REFRESH, "pruned")["spec"]
    asked = {path.removeprefix("spec.").split(".")[-1] for path in edits}
    assert asked.isdisjoint({*stored, *stored["training"], *stored["data"]})


@attack(4, does="naming objects of another namespace", by=_BY, ends="refused: unknown field")
@pytest.mark.parametrize("path", _NAMESPACES_OF_OTHERS)
def test_no_reference_has_a_namespace(attacker: Tenant, path: str) -> None:
    assert "unknown field" in attacker.create(_with({path: _NAMESPACES_OF_OTHERS[path]})).message


@attack(5, does="URIs that leave a claim, or lead elsewhere", by=_BY, ends="refused: the schema names the URI")
@pytest.mark.parametrize("uri", [uri for uri in _BAD_URIS if uri != _CLAIM_ALONE], ids=repr)
def test_a_uri_that_is_none_is_refused(attacker: Tenant, uri: str) -> None:
    assert "spec.data.uri" in attacker.create(_with({"spec.data.uri": uri})).message


@attack(6, 43, does="URIs and field names with unseen characters", by=_BY, ends="refused by the schema")
@pytest.mark.parametrize("character", _UNSEEN, ids=repr)
@pytest.mark.parametrize(("path", "text"), [("spec.data.uri", "pvc://corpus/a{}b"), ("spec.data.textField", "a{}b")])
def test_characters_that_nobody_sees_are_refused(attacker: Tenant, character: str, path: str, text: str) -> None:
    assert path in attacker.create(_with({path: text.format(character)})).message


@attack(7, does="numbers that are none, in decimal fields", by=_BY, ends="refused: the schema names the field")
@pytest.mark.parametrize("number", _NUMBERS)
def test_a_decimal_that_is_none_is_refused(attacker: Tenant, number: str) -> None:
    path = "spec.evaluation.gates[0].minDifference"
    assert path in attacker.create(_with({path: number})).message


@attack(7, does="paths, variables and shell in names", by=_BY, ends="refused, or kept as plain text and told so later")
@pytest.mark.parametrize("path", _PLACES_OF_NAMES)
def test_a_name_is_no_path_and_no_command(attacker: Tenant, path: str) -> None:
    assert attacker.create(_with({path: _PLACES_OF_NAMES[path]})).refused


@attack(8, does="10,000 suites, 10,000 gates", by=_BY, ends="refused: too many")
@pytest.mark.parametrize("field", ["suites", "gates"])
def test_a_list_has_an_end(attacker: Tenant, field: str) -> None:
    document = builders.refresh(name="many")
    [first] = document["spec"]["evaluation"][field]
    document["spec"]["evaluation"][field] = [
        copy.deepcopy(first) | {"suite": str(n), "name": str(n)} for n in range(10_000)
    ]
    assert f"spec.evaluation.{field}" in attacker.create(document, strict=False).message


@attack(8, does="an object of 3 MiB, an annotation of 1.4 MiB", by=_BY, ends="refused by the API server")
@pytest.mark.parametrize("size", [1_400_000, 3_200_000])
def test_an_object_has_a_size(attacker: Tenant, size: int) -> None:
    document = builders.refresh(name="large")
    document["metadata"]["annotations"] = {names.ANNOTATION_REFRESH: "x" * size}
    assert attacker.create(document).refused


@attack(9, does="status, uid and creation time in a new object", by=_BY, ends="contained: dropped")
def test_nobody_brings_a_status_or_an_identity(attacker: Tenant) -> None:
    document = builders.refresh(name="forged") | {"status": {"live": {"version": "x", "digest": builders.DIGEST}}}
    document["metadata"] |= {"uid": "0" * 36, "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 77}
    attacker.create(document, strict=False)
    stored = attacker.read(names.REFRESH, "forged")
    assert "status" not in stored
    assert (stored["metadata"]["uid"] == "0" * 36, stored["metadata"]["generation"]) == (False, 1)


@attack(10, does="an owner in another namespace, or none", by=_BY, ends="contained: it is the tenant's own object")
def test_an_owner_elsewhere_gives_no_right_there(attacker: Tenant) -> None:
    document = builders.refresh(name="owned")
    document["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "Namespace", "name": attacker.other, "uid": "0" * 36, "controller": True}
    ]
    attacker.create(document)
    assert attacker.ask("GET", attacker.path(names.REFRESH, "owned", namespace=attacker.other)).code == 403


@attack(11, does="another base or instruct model in a residual that exists", by=_BY, ends="refused: it never changes")
@pytest.mark.parametrize("field", ["base", "instruct"])
def test_a_residual_stays_what_it_was_cut_from(attacker: Tenant, field: str) -> None:
    attacker.create(builders.residual(name=f"cut-{field}"))
    changed = {"spec": {field: {"uri": "pvc://models/other"}}}
    answer = attacker.ask("PATCH", attacker.path(names.RESIDUAL, f"cut-{field}"), changed)
    assert "create a new InstructionResidual" in answer.message


@attack(11, does="writing the status of a residual with the object", by=_BY, ends="contained: dropped")
def test_the_digest_of_a_residual_is_not_the_tenants_to_write(attacker: Tenant) -> None:
    attacker.create(builders.residual(name="claimed"))
    attacker.ask(
        "PATCH", attacker.path(names.RESIDUAL, "claimed"), {"status": {"digest": builders.DIGEST}}, strict=False
    )
    assert "status" not in attacker.read(names.RESIDUAL, "claimed")


def _odd_paths() -> list[str]:
    return [
        "%2e%2e/x",
        "..%2f..%2fx",
        "a\\..\\b",
        "\uff0e\uff0e/x",
        "`id`",
        "a;id",
        "{{7*7}}",
        "%s%n",
        "-rf",
        "*",
        "~/x",
    ]


@attack(6, does="paths with shell, template and format characters", by=_BY, ends="contained: plain names of files")
@pytest.mark.parametrize("path", _odd_paths())
def test_an_odd_path_is_stored_as_it_was_written(attacker: Tenant, path: str) -> None:
    name = f"path-{_odd_paths().index(path)}"
    assert attacker.create(_with({"spec.data.uri": f"pvc://corpus/{path}"}, name=name)).code == 201
    assert attacker.read(names.REFRESH, name)["spec"]["data"]["uri"] == f"pvc://corpus/{path}"
