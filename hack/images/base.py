"""The base image on a machine that reaches Debian's packages but no image registry: Debian with its Python.

Knows: debootstrap, and what does not belong in an image. Refuses to know: what is built on top. Where an image
registry is reached, the Dockerfiles' own default base is the better one: it is kept up to date by others.
"""

import shutil
import subprocess
from pathlib import Path

from hack.images import cache, progress

SUITE = "bookworm"
PACKAGES = ("python3", "python3-venv")
EMPTIED = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man", "usr/share/locale")
HOST_SETTINGS = ("etc/resolv.conf", "etc/hostname")
LEFT_OUT = ("dev", "proc", "sys")
DOCKERFILE = """FROM scratch
ADD base.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
KEY = cache.digest_of_text(SUITE, *PACKAGES, *EMPTIED, *HOST_SETTINGS, DOCKERFILE)


def context() -> Path:
    """Return a build context whose Dockerfile makes the base image."""
    folder = cache.SCRATCH / "base"
    _unmount_below(folder)
    folder = cache.fresh_scratch("base")
    root = folder / "root"
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root)]
    progress.run(command, log=cache.LOGS / "base.log")
    for name in EMPTIED:
        shutil.rmtree(root / name)
        (root / name).mkdir()
    for name in HOST_SETTINGS:
        (root / name).write_bytes(b"")
    archive = ["tar", "-C", str(root), "--numeric-owner", *(f"--exclude=./{name}/*" for name in LEFT_OUT)]
    progress.run([*archive, "-cf", str(folder / "base.tar"), "."], log=cache.LOGS / "base.log")
    shutil.rmtree(root)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    return folder


def _unmount_below(folder: Path) -> None:
    """Take away the /proc that a killed debootstrap leaves mounted, so that removing its tree is safe."""
    for line in Path("/proc/mounts").read_text().splitlines():
        target = line.split()[1]
        if target.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", target], check=True)
