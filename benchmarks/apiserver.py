"""A real API server and its store, alone: no controllers, no nodes, so Jobs stay as they were created.

What is measured against it is the operator and the API, not pods. On loopback addresses and
free ports, in a temporary folder that goes with it; other clusters never notice.
"""

import contextlib
import json
import pathlib
import secrets
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence

from hack.cluster import builds

_ADDRESS = "127.0.0.1"
_PATIENCE_SECONDS = 90.0
_END_SECONDS = 15.0


@contextlib.contextmanager
def running() -> Iterator[pathlib.Path]:
    """Start both and give the kubeconfig of an administrator."""
    with tempfile.TemporaryDirectory(prefix="modelrefresh-bench-") as name, contextlib.ExitStack() as started:
        folder = pathlib.Path(name)
        client, peer, port = _free_ports(3)
        token = secrets.token_hex(16)
        kubeconfig = _write_access(folder, token, port)
        started.enter_context(_process(folder, _store(folder, client, peer)))
        started.enter_context(_process(folder, _server(folder, client, port)))
        _await_ready(folder, token, port)
        yield kubeconfig


def _store(folder: pathlib.Path, client: int, peer: int) -> list[str]:
    urls = {
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
    }
    flags = [f"--{flag}=http://{_ADDRESS}:{port}" for flag, port in urls.items()]
    cluster = f"--initial-cluster=default=http://{_ADDRESS}:{peer}"
    return [str(builds.binary(builds.ETCD)), f"--data-dir={folder / 'etcd'}", cluster, "--log-level=warn", *flags]


def _server(folder: pathlib.Path, store: int, port: int) -> list[str]:
    key = folder / "signing.key"
    subprocess.run(("openssl", "genrsa", "-out", str(key), "2048"), check=True, capture_output=True)
    options = {
        "authorization-mode": "RBAC",
        "bind-address": _ADDRESS,
        "cert-dir": folder / "certificates",
        "etcd-servers": f"http://{_ADDRESS}:{store}",
        "secure-port": port,
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": key,
        "service-account-signing-key-file": key,
        "service-cluster-ip-range": "10.98.0.0/24",
        "token-auth-file": folder / "tokens.csv",
        # There is no controller here that would make the service account that this plugin asks for.
        "disable-admission-plugins": "ServiceAccount",
    }
    program = builds.binary(builds.KUBERNETES, "kube-apiserver")
    return [str(program), *(f"--{option}={value}" for option, value in options.items())]


def _write_access(folder: pathlib.Path, token: str, port: int) -> pathlib.Path:
    (folder / "tokens.csv").write_text(f'{token},bench,bench,"system:masters"\n')
    cluster = {"server": f"https://{_ADDRESS}:{port}", "insecure-skip-tls-verify": True}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": cluster}],
        "users": [{"name": "bench", "user": {"token": token}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "current-context": "bench",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(document))
    return path


@contextlib.contextmanager
def _process(folder: pathlib.Path, command: Sequence[str]) -> Iterator[None]:
    log = folder / f"{pathlib.Path(command[0]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(folder: pathlib.Path, token: str, port: int) -> None:
    # Made by the server itself a moment ago, for an address that nobody else can reach.
    context = ssl._create_unverified_context()  # noqa: S323, SLF001
    address, headers = f"https://{_ADDRESS}:{port}/readyz", {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(address, headers=headers)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(request, timeout=2, context=context) as answer,  # noqa: S310 -- as above
        ):
            if answer.status == 200:
                return
        time.sleep(0.2)
    said = "\n".join(log.read_text(errors="replace")[-1500:] for log in folder.glob("*.log"))
    raise RuntimeError(f"the API server was not ready after {_PATIENCE_SECONDS:.0f} s; the logs end:\n{said}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((_ADDRESS, 0))
        return [probe.getsockname()[1] for probe in probes]
