"""The programs of the cluster, built from pinned Go modules and kept by content hash.

`go/<program>/` holds the module file, its checksums and at most one source file;
the hash over them, the Go version and the flags names the folder of the result.
A build goes to a temporary name first: one that is killed leaves nothing that looks
finished. Knows nothing of how the programs are run.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.cluster import failures, settings, terminal

_VERSION_PACKAGE: Final = "k8s.io/component-base/version"
_GO_MINIMUM: Final = "1.26"
_ABANDONED_SECONDS: Final = 6 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One Go module: the commands it yields, and further names under which the first one runs."""

    name: str
    usually: str
    commands: tuple[tuple[str, str], ...]
    aliases: tuple[str, ...] = ()
    tags: str = ""


_CONTAINERD: Final = "github.com/containerd/containerd/v2/cmd/"
REGISTRY: Final = Program(name="registry", usually="75 s", commands=(("registry", "."),))
PAUSE: Final = Program(name="pause", usually="1 s", commands=(("pause", "."),))
ETCD: Final = Program(name="etcd", usually="30 s", commands=(("etcd", "go.etcd.io/etcd/server/v3"),))
KUBERNETES: Final = Program(
    name="kubernetes",
    usually="6 min",
    commands=(("kubernetes", "."),),
    aliases=("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"),
)
CONTAINERD: Final = Program(
    name="containerd",
    usually="75 s",
    commands=tuple((name, _CONTAINERD + name) for name in ("containerd", "containerd-shim-runc-v2", "ctr")),
    tags="no_btrfs,no_devmapper,no_zfs",
)
COREDNS: Final = Program(name="coredns", usually="30 s", commands=(("coredns", "."),))
HELM: Final = Program(name="helm", usually="2 min", commands=(("helm", "helm.sh/helm/v4/cmd/helm"),))
KUBE_SCORE: Final = Program(
    name="kube-score", usually="1 min", commands=(("kube-score", "github.com/zegl/kube-score/cmd/kube-score"),)
)
"""Not part of the cluster: it looks at manifests."""
ALL: Final = (REGISTRY, PAUSE, ETCD, KUBERNETES, CONTAINERD, COREDNS, HELM)


def binary(program: Program, name: str = "") -> Path:
    """Return the path of a command of `program`, which is built first if it is not there yet."""
    return ensure(program) / (name or program.commands[0][0])


def ensure(program: Program) -> Path:
    """Return the folder with the commands of `program`, built if it is not there yet."""
    folder = _folder(program)
    if not folder.is_dir():
        with terminal.step(program.name, "building from source", usually=program.usually):
            _build(program, folder)
    return folder


def kubernetes_version() -> str:
    """Return the Kubernetes version that the module file pins."""
    text = (settings.GO_SOURCES / "kubernetes" / "go.mod").read_text(encoding="utf-8")
    return next(line.split()[-1] for line in text.splitlines() if line.split()[-2:-1] == ["k8s.io/kubernetes"])


def _folder(program: Program) -> Path:
    digest = hashlib.sha256(repr((_go_version(), _flags(program), program)).encode())
    for source in sorted((settings.GO_SOURCES / program.name).iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return settings.CACHE / "go" / f"{program.name}-{digest.hexdigest()[:12]}"


def _flags(program: Program) -> tuple[str, ...]:
    link = "-s -w"
    if program is KUBERNETES:
        version = kubernetes_version()
        major, minor, _ = version.removeprefix("v").split(".")
        values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
        link += "".join(f" -X {_VERSION_PACKAGE}.{key}={value}" for key, value in values.items())
    return ("-trimpath", "-buildvcs=false", "-mod=readonly", f"-ldflags={link}", f"-tags={program.tags}")


def _go_version() -> str:
    if not (go := shutil.which("go")):
        raise failures.ClusterError(
            f"go: not found on PATH, expected version {_GO_MINIMUM} or newer. The cluster from source is built "
            "with it: install Go, or choose CLUSTER=kind or CLUSTER=current."
        )
    return subprocess.run([go, "env", "GOVERSION"], check=True, capture_output=True, text=True).stdout.strip()


def _build(program: Program, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{program.name}-*"):
        if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{program.name}-", dir=folder.parent))
    partial.chmod(0o755)
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    for name, package in program.commands:
        command: list[str | Path] = ["nice", "-n", "5", "go", "build", *_flags(program), "-o", partial / name, package]
        source = settings.GO_SOURCES / program.name
        built = subprocess.run(command, cwd=source, env=environment, check=False, capture_output=True, text=True)
        if built.returncode:
            shutil.rmtree(partial)
            raise failures.ClusterError(
                f"{program.name}: `go build {package}` ended with {built.returncode} in {source}. It needs Go "
                f"{_GO_MINIMUM} or newer ({_go_version()} seen) and the Go module proxy. It said:\n{built.stderr}"
            )
    for alias in program.aliases:
        (partial / alias).symlink_to(program.commands[0][0])
    try:
        partial.rename(folder)
    except OSError:  # somebody else built the same meanwhile
        shutil.rmtree(partial)
