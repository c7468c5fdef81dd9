"""Builds and pushes with a docker engine, where one answers. It reaches image registries, so the default base serves.

Knows: docker's options. Refuses to know: what is in the images.
"""

import sys

from hack.images import cache, progress, recipe
from hack.images.recipe import Recipe

BASE = "the default of the Dockerfile"
SETTINGS: dict[str, str] = {}


def answers() -> bool:
    """Tell whether a docker engine answers, not just whether its client is there."""
    return progress.ask(["docker", "version", "--format", "{{.Server.Version}}"]) is not None


def build(wanted: Recipe) -> None:
    """Build one image; the engine's own cache finds unchanged layers again."""
    command = ["docker", "build", "--build-arg", f"VERSION={wanted.version}", "--file", str(wanted.dockerfile)]
    for name, path in wanted.secrets:
        command += ["--secret", f"id={name},src={path}"]
    with progress.step(f"{wanted.image} image", usually=recipe.USUALLY[wanted.image]):
        command += ["--tag", _tag(wanted), str(wanted.context)]
        progress.run(command, log=cache.LOGS / f"{wanted.image}.log")


def push(wanted: Recipe, *, repository: str) -> str:
    """Send the image; return the reference by digest."""
    log = cache.LOGS / f"{wanted.image}.log"
    remote = f"{repository}:{wanted.key}"
    with progress.step(f"push of the {wanted.image} image", usually="a few minutes the first time, else 5 s"):
        progress.run(["docker", "tag", _tag(wanted), remote], log=log)
        progress.run(["docker", "push", "--quiet", remote], log=log)
    digests = progress.ask(["docker", "inspect", "--format", '{{join .RepoDigests "\\n"}}', remote]) or ""
    for reference in digests.splitlines():
        if reference.startswith(f"{repository}@"):
            return reference
    return sys.exit(f"images: docker knows no digest of {remote} after the push, expected one; look into {log}")


def _tag(wanted: Recipe) -> str:
    return f"modelrefresh/{wanted.image}:latest"
