"""Who may talk to the API server: one token each, one certificate, one signing key.

Made anew with every cluster and worth nothing elsewhere. Each component gets only
its own standard role, so that access rules behave as on a real cluster; the person
at the terminal is an administrator.
"""

import base64
import json
import secrets
import subprocess
from pathlib import Path
from typing import Final

from hack.cluster import settings

_USERS: Final = {
    "admin": ("cluster-admin", "system:masters"),
    "kubelet": (f"system:node:{settings.NODE_NAME}", "system:nodes"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
}
SERVER_CERTIFICATE: Final = settings.PKI / "server.crt"
SERVER_KEY: Final = settings.PKI / "server.key"
KUBELET_CLIENT_CERTIFICATE: Final = settings.PKI / "kubelet-client.crt"
KUBELET_CLIENT_KEY: Final = settings.PKI / "kubelet-client.key"
SIGNING_KEY: Final = settings.PKI / "service-accounts.key"
TOKENS: Final = settings.PKI / "tokens.csv"


def create() -> None:
    """Write keys, certificates, tokens and a kubeconfig for everyone."""
    settings.PKI.mkdir(parents=True, mode=0o700)
    names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{settings.DNS_DOMAIN}",
    ]
    addresses = [settings.NODE_ADDRESS, settings.API_SERVICE_ADDRESS, "127.0.0.1"]
    alternatives = ",".join([*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses)])
    _certificate(
        SERVER_CERTIFICATE,
        SERVER_KEY,
        subject="/CN=kube-apiserver",
        extensions=[f"subjectAltName={alternatives}", "extendedKeyUsage=serverAuth"],
    )
    _certificate(
        KUBELET_CLIENT_CERTIFICATE,
        KUBELET_CLIENT_KEY,
        subject="/O=system:masters/CN=kube-apiserver-kubelet-client",
        extensions=["extendedKeyUsage=clientAuth"],
    )
    _openssl("genrsa", "-out", SIGNING_KEY, "2048")
    rows = []
    for component, (user, group) in _USERS.items():
        token = secrets.token_hex(16)
        rows.append(f'{token},{user},{user},"{group}"\n')
        _write(kubeconfig(component), json.dumps(_kubeconfig(user, token), indent=1))
    _write(TOKENS, "".join(rows))


def kubeconfig(component: str) -> Path:
    """Return the path of a component's kubeconfig; the administrator's is the one for people."""
    return settings.KUBECONFIG if component == "admin" else settings.PKI / f"{component}.kubeconfig"


def _kubeconfig(user: str, token: str) -> dict[str, object]:
    """Return a kubeconfig, in JSON because every YAML reader takes that."""
    authority = base64.b64encode(SERVER_CERTIFICATE.read_bytes()).decode()
    cluster = {"server": settings.API_SERVER, "certificate-authority-data": authority}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": settings.NODE_NAME, "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": settings.NODE_NAME, "context": {"cluster": settings.NODE_NAME, "user": user}}],
        "current-context": settings.NODE_NAME,
    }


def _certificate(path: Path, key: Path, *, subject: str, extensions: list[str]) -> None:
    """Write a certificate that vouches for itself: whoever trusts it trusts nobody else."""
    usage = "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign"
    options = [part for extension in [usage, *extensions] for part in ("-addext", extension)]
    new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", subject]
    _openssl(*new, *options, "-keyout", key, "-out", path)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
