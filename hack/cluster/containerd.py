"""The container runtime, in a mount name space of its own.

Everything that it and the kubelet mount lives in that name space and is gone with its
last process, however that ends: a killed run leaves no mount behind. The usual paths
of a node are folders of our state there, so a runtime the machine may have is untouched.
Unpacked images outlive the cluster, containers do not.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hack.cluster import archive, builds, failures, network, packages, processes, rubbish, settings, terminal

SOCKET: Final = settings.STATE / "node" / "containerd" / "containerd.sock"
_STORE: Final = settings.CACHE / "runtime"
_CONFIG: Final = settings.STATE / "containerd.toml"
_HOSTS: Final = settings.STATE / "registries"
_PAUSE_IMAGE: Final = "localhost/pause:1"
_PLACES: Final = {
    "/run/containerd": "containerd",
    "/run/netns": "netns",
    "/var/lib/kubelet": "kubelet",
    "/var/log/containers": "container-logs",
    "/var/log/pods": "pod-logs",
}
_ENTER: Final = """set -e
mount --make-rshared /
while [ "$1" != -- ]; do mkdir -p "$1" "$2"; mount --bind "$1" "$2"; shift 2; done
shift
exec "$@"
"""


def daemon() -> processes.Daemon:
    """Return the runtime's daemon."""
    binds = [part for place, name in _PLACES.items() for part in (settings.STATE / "node" / name, place)]
    program = builds.binary(builds.CONTAINERD)
    return processes.Daemon(
        name="containerd",
        command=[
            *("unshare", "--mount", "--propagation", "slave", "/bin/sh", "-c", _ENTER, "enter", *binds, "--"),
            *(program, "--config", _CONFIG),
        ],
        folder=settings.STATE,
        programs=program.parent,
    )


def start() -> None:
    """Start the runtime with the images it had and no containers, and give it the pause image."""
    hosts = _HOSTS / settings.REGISTRY / "hosts.toml"
    hosts.parent.mkdir(parents=True, exist_ok=True)
    hosts.write_text(f'server = "http://127.0.0.1:{settings.REGISTRY_PORT}"\n', encoding="utf-8")
    _CONFIG.write_text(_config(), encoding="utf-8")
    if not _store_is_sound():
        rubbish.discard(_STORE)
    try:
        _launch()
        _forget_containers()
    except failures.ClusterError:
        terminal.say("containerd", f"does not start from the images in {_STORE}; they are thrown away")
        processes.stop(daemon())
        rubbish.discard(_STORE)
        _launch()
    load(builds.binary(builds.PAUSE), image=_PAUSE_IMAGE)


def inside(command: Sequence[str | Path]) -> list[str | Path]:
    """Return `command` as it runs in the name space of the runtime."""
    return ["nsenter", f"--mount=/proc/{processes.pid(daemon())}/ns/mnt", "--", *command]


def load(program: Path, *, image: str) -> None:
    """Put an image of one static program into the runtime."""
    path = settings.STATE / "image.tar"
    archive.write(path, program, image=image)
    done = _ctr("images", "import", "--digests=false", path)
    path.unlink()
    if done.returncode:
        raise failures.ClusterError(f"image {image}: the runtime did not take it: {done.stderr}")


def _launch() -> None:
    _STORE.mkdir(parents=True, exist_ok=True)
    _boot_of_store().write_text(processes.boot(), encoding="utf-8")
    processes.start(daemon())
    processes.wait(daemon(), lambda: _ctr("version").returncode == 0)


def _store_is_sound() -> bool:
    """Say whether no restart of the machine lies in between: unpacked files are not synced to the disk."""
    return _boot_of_store().exists() and _boot_of_store().read_text(encoding="utf-8") == processes.boot()


def _boot_of_store() -> Path:
    return _STORE / "boot"


def _forget_containers() -> None:
    """Remove the containers of a former cluster, and start again without a memory of them."""
    listed = _ctr("containers", "list", "--quiet")
    if listed.returncode:
        raise failures.ClusterError(f"containerd: cannot list its containers: {listed.stderr}")
    if left := listed.stdout.split():
        _ctr("containers", "delete", *left)
        processes.stop(daemon())
        _launch()


def _ctr(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [builds.binary(builds.CONTAINERD, "ctr"), "--address", SOCKET, "--namespace", "k8s.io", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def _config() -> str:
    """Return the configuration; without CAP_SYS_RESOURCE the OOM score of pods cannot be lowered."""
    return f"""version = 3
root = '{_STORE}'
state = '/run/containerd/state'
disabled_plugins = ['io.containerd.nri.v1.nri']
[grpc]
address = '{SOCKET}'
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
options = {{ BinaryName = '{shutil.which("runc")}', SystemdCgroup = false }}
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['{packages.CNI_PLUGINS}']
conf_dir = '{network.CNI_CONFIG}'
[plugins.'io.containerd.cri.v1.images']
discard_unpacked_layers = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{_PAUSE_IMAGE}'
[plugins.'io.containerd.cri.v1.images'.registry]
config_path = '{_HOSTS}'
"""
