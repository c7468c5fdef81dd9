"""What a real API server says of our kinds: it takes the definitions and refuses bad objects by name of field.

Objects are tried with a dry run, so nothing is left; what needs a stored object lives in a
namespace of its own.
"""

import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import kubernetes
import pytest

from hack.cluster import facts
from modelrefresh.api import names, schema
from modelrefresh.api.status import refresh
from tests import builders
from tests.api import fullest
from tests.api.refusals import EMPTY_LISTS, REFUSALS, Refusal

pytestmark = pytest.mark.cluster
_CRDS = Path(__file__).parents[2] / "crds"


class _Builder(Protocol):
    def __call__(self, edits: Mapping[str, object] | None = None, *, name: str = ...) -> dict[str, Any]: ...


_BUILDERS: dict[str, _Builder] = {
    names.REFRESH: builders.refresh,
    names.RESIDUAL: builders.residual,
    names.MODEL_VERSION: builders.version,
    names.PROFILE: builders.profile,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A real API server and a namespace to work in."""

    kubectl: tuple[str, ...]
    objects: kubernetes.client.CustomObjectsApi
    namespace: str

    def run(self, *arguments: str) -> str:
        """What one kubectl command prints; it must succeed."""
        done = subprocess.run([*self.kubectl, *arguments], text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(self, document: dict[str, Any], *, dry: bool = True) -> dict[str, Any]:
        """The object as the server would store it, or stores it."""
        plural = names.PLURALS[document["kind"]]
        where = {"group": names.GROUP, "version": names.VERSION, "plural": plural, "body": document}
        how = {"field_validation": "Strict"} | ({"dry_run": "All"} if dry else {})
        if "namespace" not in document["metadata"]:
            return dict(self.objects.create_cluster_custom_object(**where, **how))
        document["metadata"]["namespace"] = self.namespace
        return dict(self.objects.create_namespaced_custom_object(namespace=self.namespace, **where, **how))

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """A stored object."""
        where = {"group": names.GROUP, "version": names.VERSION, "plural": names.PLURALS[kind]}
        return dict(self.objects.get_namespaced_custom_object(namespace=self.namespace, name=name, **where))

    def refusal(self, document: dict[str, Any]) -> str:
        """What the server says against creating the object; empty if it takes it."""
        try:
            self.create(document)
        except kubernetes.client.ApiException as error:
            return str(json.loads(error.body or "{}")["message"])
        return ""

    def change(self, kind: str, name: str, spec: dict[str, Any]) -> str:
        """What the server says against changing these fields of a stored spec; empty if it takes it."""
        where = {"group": names.GROUP, "version": names.VERSION, "plural": names.PLURALS[kind]}
        try:
            self.objects.patch_namespaced_custom_object(
                namespace=self.namespace, name=name, body={"spec": spec}, **where
            )
        except kubernetes.client.ApiException as error:
            return str(json.loads(error.body or "{}")["message"])
        return ""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    known = facts.read()
    objects = kubernetes.client.CustomObjectsApi(kubernetes.config.new_client_from_config(str(known.kubeconfig)))
    kubectl = (str(known.kubectl), f"--kubeconfig={known.kubeconfig}")
    server = Server(kubectl=kubectl, objects=objects, namespace=f"api-{uuid.uuid4().hex[:8]}")
    server.run("apply", "--server-side", "--force-conflicts", "-f", str(_CRDS))
    server.run("wait", "--for=condition=Established", "--timeout=60s", "-f", str(_CRDS))
    server.run("create", "namespace", server.namespace)
    yield server
    server.run("delete", "namespace", server.namespace, "--wait=false")


@pytest.mark.parametrize("build", _BUILDERS.values(), ids=_BUILDERS)
def test_the_server_takes_the_smallest_object_of_every_kind(server: Server, build: _Builder) -> None:
    assert server.refusal(build()) == ""


def test_the_server_takes_an_empty_list_for_none(server: Server) -> None:
    assert server.refusal(builders.refresh(EMPTY_LISTS)) == ""


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.id)
def test_the_server_refuses_a_bad_object_and_names_the_field(server: Server, refusal: Refusal) -> None:
    answer = server.refusal(refusal.document())
    assert refusal.names in answer
    assert refusal.says in answer
    assert refusal.server in answer


def test_the_server_fills_in_the_same_defaults_as_the_models_and_none_inside_lists(server: Server) -> None:
    spec = builders.refresh_spec().model_dump(mode="json", by_alias=True, exclude_none=True)
    del spec["residuals"], spec["residual"]["scales"]  # a list that nobody names is absent there
    spec["evaluation"]["gates"] = builders.refresh()["spec"]["evaluation"]["gates"]
    assert server.create(builders.refresh())["spec"] == spec


def test_the_server_stores_the_fullest_status_as_it_was_rendered(server: Server) -> None:
    server.create(builders.refresh(name="full"), dry=False)
    rendered = refresh.fit(fullest.refresh_status()).render()
    stored = server.objects.replace_namespaced_custom_object_status(
        group=names.GROUP, version=names.VERSION, plural=names.PLURALS[names.REFRESH], namespace=server.namespace,
        name="full", body=server.read(names.REFRESH, "full") | {"status": rendered}, field_validation="Strict",
    )  # fmt: skip
    assert dict(stored)["status"] == rendered


def test_the_spec_of_a_residual_never_changes(server: Server) -> None:
    server.create(builders.residual(name="fixed"), dry=False)
    answer = server.change(names.RESIDUAL, "fixed", {"base": {"uri": "pvc://models/other"}})
    assert "create a new InstructionResidual" in answer


def test_the_spec_of_a_version_never_changes(server: Server) -> None:
    server.create(builders.version(name="sealed"), dry=False)
    assert "a ModelVersion is sealed" in server.change(names.MODEL_VERSION, "sealed", {"verdict": "Rejected"})


def test_refreshes_can_be_selected_by_their_target(server: Server) -> None:
    server.create(builders.refresh({"spec.rollout.deployment.name": "picked"}, name="picked"), dry=False)
    server.create(builders.refresh(name="other"), dry=False)
    selector = "--field-selector=spec.rollout.deployment.name=picked"
    chosen = server.run("get", "mref", "-n", server.namespace, "-o", "name", selector)
    assert chosen.split() == [f"modelrefresh.{names.GROUP}/picked"]


@pytest.mark.parametrize("kind", schema.KINDS, ids=lambda kind: kind.short)
def test_every_kind_prints_its_columns(server: Server, kind: schema.Kind) -> None:
    document = _BUILDERS[kind.name](name=f"{server.namespace}-columns")
    server.create(document, dry=False)
    which = (kind.short, "-n", server.namespace, document["metadata"]["name"])
    table = server.run("get", *which, "-o", "wide")
    server.run("delete", *which, "--wait=false")
    assert table.splitlines()[0].split() == ["NAME", *(column.name.upper() for column in kind.columns)]
