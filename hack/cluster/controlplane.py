"""etcd, the API server, the controllers and the scheduler, each as an ordinary process.

Standard admission (pod security is part of it), Node and RBAC authorization, feature
gates at their defaults, requests in an audit log. The store does not wait for the
disk: after a loss of power the cluster is made anew, like after every other accident.
"""

import json
from typing import Any, Final

from hack.cluster import api, builds, credentials, processes, settings

_AUDIT_POLICY: Final = settings.STATE / "audit-policy.json"
AUDIT_LOG: Final = settings.LOGS / "audit.log"


def daemons() -> tuple[processes.Daemon, ...]:
    """Return the control plane's daemons in the order in which they start."""
    return (etcd(), apiserver(), controllers(), scheduler())


def start() -> None:
    """Start the control plane and wait until the API server is ready."""
    _AUDIT_POLICY.write_text(json.dumps(_audit_policy()), encoding="utf-8")
    processes.start(etcd())
    server = apiserver()
    processes.start(server)
    processes.wait(server, ready)
    processes.start(controllers())
    processes.start(scheduler())


def ready() -> bool:
    """Say whether the API server calls itself ready."""
    return api.get("/readyz") == b"ok"


def etcd() -> processes.Daemon:
    """Return the store."""
    options = {
        "name": "store",
        "data-dir": settings.STATE / "etcd",
        "listen-client-urls": settings.ETCD_CLIENT_URL,
        "advertise-client-urls": settings.ETCD_CLIENT_URL,
        "listen-peer-urls": settings.ETCD_PEER_URL,
        "initial-advertise-peer-urls": settings.ETCD_PEER_URL,
        "initial-cluster": f"store={settings.ETCD_PEER_URL}",
        "log-level": "warn",
        "unsafe-no-fsync": "true",
    }
    return _daemon("etcd", builds.ETCD, options)


def apiserver() -> processes.Daemon:
    """Return the API server."""
    options = {
        "advertise-address": settings.NODE_ADDRESS,
        "allow-privileged": "true",
        "audit-log-path": AUDIT_LOG,
        "audit-policy-file": _AUDIT_POLICY,
        "authorization-mode": "Node,RBAC",
        "bind-address": settings.NODE_ADDRESS,
        "enable-admission-plugins": "NodeRestriction",
        "etcd-servers": settings.ETCD_CLIENT_URL,
        "kubelet-client-certificate": credentials.KUBELET_CLIENT_CERTIFICATE,
        "kubelet-client-key": credentials.KUBELET_CLIENT_KEY,
        "kubelet-preferred-address-types": "InternalIP",
        "secure-port": settings.API_PORT,
        "service-account-issuer": f"https://kubernetes.default.svc.{settings.DNS_DOMAIN}",
        "service-account-key-file": credentials.SIGNING_KEY,
        "service-account-signing-key-file": credentials.SIGNING_KEY,
        "service-cluster-ip-range": settings.SERVICE_RANGE,
        "tls-cert-file": credentials.SERVER_CERTIFICATE,
        "tls-private-key-file": credentials.SERVER_KEY,
        "token-auth-file": credentials.TOKENS,
    }
    return _daemon("kube-apiserver", builds.KUBERNETES, options)


def controllers() -> processes.Daemon:
    """Return the controller manager."""
    options = {
        "bind-address": "127.0.0.1",
        "kubeconfig": credentials.kubeconfig("kube-controller-manager"),
        "leader-elect": "false",
        "root-ca-file": credentials.SERVER_CERTIFICATE,
        "service-account-private-key-file": credentials.SIGNING_KEY,
        "use-service-account-credentials": "true",
    }
    return _daemon("kube-controller-manager", builds.KUBERNETES, options)


def scheduler() -> processes.Daemon:
    """Return the scheduler."""
    options = {
        "bind-address": "127.0.0.1",
        "kubeconfig": credentials.kubeconfig("kube-scheduler"),
        "leader-elect": "false",
    }
    return _daemon("kube-scheduler", builds.KUBERNETES, options)


def _audit_policy() -> dict[str, Any]:
    """Return the policy: who asked for what, but not the chatter of the cluster's own parts."""
    groups = ["system:nodes", "system:serviceaccounts:kube-system"]
    users = ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy"]
    rules = [{"level": "None", "userGroups": groups}, {"level": "None", "users": users}, {"level": "Metadata"}]
    return {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules}


def _daemon(name: str, program: builds.Program, options: dict[str, object]) -> processes.Daemon:
    flags = [f"--{option}={value}" for option, value in options.items()]
    return processes.Daemon(name=name, command=[builds.binary(program, name), *flags], folder=settings.STATE)
