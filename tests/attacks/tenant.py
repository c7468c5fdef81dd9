"""A tenant on a real cluster: a service account with nothing but the chart's roles for users, and raw requests.

Knows how to become one and to say what the API server answered. Refuses to know any attack. All objects live
in namespaces of their own, and go with them.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import kubernetes
import yaml

from hack.cluster import facts
from hack.cluster.kubectl import Kubectl
from modelrefresh.api import names
from tests.chart import render

Document = dict[str, Any]
_ACCOUNT = "tenant"
PLURALS = names.PLURALS


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said to one request."""

    code: int
    body: Document

    @property
    def message(self) -> str:
        """Why not, if not."""
        return str(self.body.get("message", ""))

    @property
    def refused(self) -> bool:
        """Whether the request was turned down, by rights or by form."""
        return 400 <= self.code < 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One tenant and the namespace beside theirs."""

    namespace: str
    other: str
    """A namespace of somebody else."""
    admin: Kubectl
    client: kubernetes.client.ApiClient

    def ask(self, verb: str, path: str, body: Document | None = None, *, strict: bool = True) -> Answer:
        """One request by raw path; with `strict` an unknown field is refused, as kubectl asks for."""
        kind = "application/merge-patch+json" if verb == "PATCH" else "application/json"
        query = [("fieldValidation", "Strict")] if strict and body is not None else []
        headers = {"Content-Type": kind, "Accept": "application/json", **self.client.default_headers}
        request = self.client.param_serialize(
            verb, path, query_params=query, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        response = self.client.call_api(*request)
        return Answer(code=int(response.status), body=_document(response.read()))

    def create(self, document: Document, *, strict: bool = True) -> Answer:
        """Create an object of our kinds in the tenant's namespace."""
        document = document | {"metadata": document["metadata"] | {"namespace": self.namespace}}
        return self.ask("POST", self.path(document["kind"]), document, strict=strict)

    def read(self, kind: str, name: str) -> Document:
        """A stored object of our kinds, as the tenant sees it."""
        answer = self.ask("GET", self.path(kind, name))
        assert answer.code == 200, answer
        return answer.body

    def path(self, kind: str, name: str = "", *, namespace: str = "") -> str:
        """Where objects of one of our kinds are found."""
        way = f"/apis/{names.API_VERSION}/namespaces/{namespace or self.namespace}/{PLURALS[kind]}"
        return f"{way}/{name}" if name else way


@contextmanager
def moved_in() -> Iterator[Tenant]:
    """A tenant of a new namespace; both of its namespaces and the roles are gone afterwards."""
    known = facts.read()
    admin = Kubectl(program=known.kubectl, kubeconfig=known.kubeconfig)
    mark = uuid.uuid4().hex[:8]
    own, other = f"tenant-{mark}", f"neighbour-{mark}"
    roles = _roles(mark)
    admin.run("apply", "--server-side", "--force-conflicts", "-f", str(render.ROOT / "crds"))
    admin.run("wait", "--for=condition=Established", "--timeout=60s", "-f", str(render.ROOT / "crds"))
    admin.apply(*(_namespace(name) for name in (own, other)), *roles, *_bound(own, roles))
    token = admin.run("create", "token", _ACCOUNT, f"--namespace={own}", "--duration=1h").strip()
    try:
        yield Tenant(namespace=own, other=other, admin=admin, client=_client(known, token))
    finally:
        admin.run("delete", "namespace", own, other, "--wait=false")
        admin.run("delete", "clusterrole", *(role["metadata"]["name"] for role in roles))


def _roles(mark: str) -> list[Document]:
    """The chart's roles for users, under names of their own and without aggregation into the cluster's."""
    found = [role for role in render.of_kind("ClusterRole", render.DEFAULT) if _is_for_users(role)]
    return [
        {**role, "metadata": {"name": f"{mark}-{role['metadata']['name']}", "labels": {"modelrefresh.dev/test": mark}}}
        for role in found
    ]


def _is_for_users(role: Mapping[str, Any]) -> bool:
    return "rbac.authorization.k8s.io/aggregate-to-edit" in role["metadata"].get("labels", {})


def _bound(namespace: str, roles: list[Document]) -> Iterator[Document]:
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _ACCOUNT, "namespace": namespace}}
    for role in roles:
        yield {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role["metadata"]["name"], "namespace": namespace},
            "subjects": [{"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": namespace}],
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": role["metadata"]["name"],
            },
        }


def _namespace(name: str) -> Document:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _client(known: facts.Facts, token: str) -> kubernetes.client.ApiClient:
    # Of the administrator's configuration only the server and its authority: no certificate of theirs.
    document = yaml.safe_load(known.kubeconfig.read_text(encoding="utf-8"))
    cluster = {key: value for key, value in document["clusters"][0]["cluster"].items() if key != "proxy-url"}
    mine = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tenant",
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": [{"name": "tenant", "user": {"token": token}}],
        "contexts": [{"name": "tenant", "context": {"cluster": "here", "user": "tenant"}}],
    }
    return kubernetes.config.new_client_from_config_dict(mine)


def _document(body: bytes) -> Document:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
