"""Names in the cluster: CoreDNS as an ordinary deployment under the usual address.

It answers for the cluster's own domain and says at once that nothing else exists:
nothing here may need a name from outside, and a test that tries should fail quickly.
"""

from typing import Any, Final

from hack.cluster import api, builds, containerd, failures, kubectl, settings

_IMAGE: Final = "localhost/coredns:1"
_NAME: Final = "coredns"
_NAMESPACE: Final = "kube-system"
_PORT: Final = 5353
_COREFILE: Final = f"""{settings.DNS_DOMAIN}:{_PORT} in-addr.arpa:{_PORT} {{
    errors
    ready
    kubernetes {{
        ttl 5
    }}
    cache 5
}}
.:{_PORT} {{
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def start(client: kubectl.Kubectl) -> None:
    """Install CoreDNS and wait until it serves."""
    containerd.load(builds.binary(builds.COREDNS), image=_IMAGE)
    client.apply(*_access(), _config(), _deployment(), _service())
    try:
        client.run("--namespace", _NAMESPACE, "rollout", "status", f"deployment/{_NAME}", "--timeout=60s")
    except failures.ClusterError as error:
        seen = client.run("--namespace", _NAMESPACE, "get", "pods,events")
        raise failures.ClusterError(f"coredns: did not become ready. {error}\n{seen}") from error


def serves() -> bool:
    """Say whether CoreDNS is available."""
    return api.condition(f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments/{_NAME}", "Available")


def _object(version: str, kind: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of any manifest
    scope = {} if kind.startswith("Cluster") else {"namespace": _NAMESPACE}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": _NAME, **scope}, **fields}


def _access() -> tuple[dict[str, Any], ...]:
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _NAME}
    account = {"kind": "ServiceAccount", "name": _NAME, "namespace": _NAMESPACE}
    return (
        _object("v1", "ServiceAccount"),
        _object("rbac.authorization.k8s.io/v1", "ClusterRole", rules=rules),
        _object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", roleRef=role, subjects=[account]),
    )


def _config() -> dict[str, Any]:
    return _object("v1", "ConfigMap", data={"Corefile": _COREFILE})


def _deployment() -> dict[str, Any]:
    container = {
        "name": _NAME,
        "image": _IMAGE,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [{"name": "dns", "containerPort": _PORT, "protocol": "UDP"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
    }
    pod = {
        "serviceAccountName": _NAME,
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": _NAME}}],
    }
    labels = {"app": _NAME}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return _object("apps/v1", "Deployment", spec={"selector": {"matchLabels": labels}, "template": template})


def _service() -> dict[str, Any]:
    ports = [{"name": kind.lower(), "port": 53, "targetPort": _PORT, "protocol": kind} for kind in ("UDP", "TCP")]
    return _object(
        "v1", "Service", spec={"clusterIP": settings.DNS_ADDRESS, "selector": {"app": _NAME}, "ports": ports}
    )
