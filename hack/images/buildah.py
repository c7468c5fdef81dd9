"""Builds and pushes with buildah, which needs no daemon. Its storage is a folder of ours, so that sweeping it is safe.

Knows: buildah's options that work without an init system (chroot isolation) and keep big layers from being built or
sent twice. Refuses to know: what is in the images.
"""

import os
import shutil
import sys
from pathlib import Path

from hack.images import base, cache, progress, recipe
from hack.images.recipe import Recipe

BASE = base.KEY
WHEEL_CACHE = "/var/cache/uv"
SETTINGS = {"UV_CACHE_DIR": WHEEL_CACHE}
PACKAGES = ("buildah", "debootstrap", "runc")
BASE_TAG = f"localhost/modelrefresh/base:{base.KEY}"
STORE = ("--root", str(cache.STORAGE / "root"), "--runroot", str(cache.STORAGE / "run"), "--storage-driver", "overlay")
BUILDAH = ("nice", "buildah", *STORE)
# Unpacked files are most of the bytes; the fastest level of zstd is about as quick as no compression at all, and
# halves what the registry and the node write.
COMPRESSION = ("--compression-format", "zstd", "--compression-level", "1")


def install() -> None:
    """Install buildah and debootstrap from the distribution's packages where they are missing."""
    if all(shutil.which(program) for program in PACKAGES):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"images: found no container engine, expected docker or {' and '.join(PACKAGES)}; install one")
    log = cache.LOGS / "apt.log"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    patient = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")
    with progress.step("install buildah and debootstrap", usually="10 s"):
        progress.run([*patient, "update"], log=log)
        progress.run([*patient, "install", "--yes", "--no-install-recommends", *PACKAGES], log=log, env=environment)


def build(wanted: Recipe) -> None:
    """Build one image on our base; unchanged layers are found again in the storage."""
    _sweep()
    _build_base()
    command = [*BUILDAH, "build", "--isolation", "chroot", "--layers", "--build-arg", f"BASE={BASE_TAG}"]
    command += ["--build-arg", f"VERSION={wanted.version}", "--file", str(wanted.dockerfile), "--tag", _tag(wanted)]
    for name, path in wanted.secrets:
        command += ["--secret", f"id={name},src={path}"]
    wheels = _wheel_cache()
    wheels.mkdir(parents=True, exist_ok=True)
    command += ["--volume", f"{wheels}:{WHEEL_CACHE}", str(wanted.context)]
    with progress.step(f"{wanted.image} image", usually=recipe.USUALLY[wanted.image]):
        progress.run(command, log=cache.LOGS / f"{wanted.image}.log")
    progress.ask([*BUILDAH, "rmi", "--prune"])


def push(wanted: Recipe, *, repository: str) -> str:
    """Send the layers that the registry lacks; return the reference by digest."""
    digest = cache.SCRATCH / wanted.image / "digest"
    command = [*BUILDAH, "push", "--tls-verify=false", *COMPRESSION, "--digestfile", str(digest), _tag(wanted)]
    with progress.step(f"push of the {wanted.image} image", usually="a minute the first time, else 5 s"):
        progress.run([*command, f"docker://{repository}:{wanted.key}"], log=cache.LOGS / f"{wanted.image}.log")
    return f"{repository}@{digest.read_text().strip()}"


def _tag(wanted: Recipe) -> str:
    return f"localhost/modelrefresh/{wanted.image}:latest"


def _sweep() -> None:
    """Remove the working containers of killed builds: the lock says that none of them is in use."""
    progress.ask([*BUILDAH, "rm", "--all"])


def _build_base() -> None:
    if progress.ask([*BUILDAH, "inspect", "--type", "image", "--format", "{{.FromImageID}}", BASE_TAG]) is not None:
        return
    with progress.step("base image, Debian with its Python", usually="45 s"):
        context = base.context()
        command = [*BUILDAH, "build", "--isolation", "chroot", "--layers=false", "--tag", BASE_TAG, str(context)]
        progress.run(command, log=cache.LOGS / "base.log")
    shutil.rmtree(context)


def _wheel_cache() -> Path:
    """Return uv's cache of this user, so that no wheel is downloaded twice."""
    known = progress.ask(["uv", "cache", "dir"])
    return Path(known or os.environ.get("UV_CACHE_DIR") or cache.HOME.parent / "uv")
