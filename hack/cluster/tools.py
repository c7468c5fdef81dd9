"""The programs that people and tests use against a cluster that is not from source.

What is on PATH is taken; what is not is built from source where that is possible.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from hack.cluster import builds, packages, settings, terminal


def kubectl() -> Path:
    """Return a kubectl."""
    found = shutil.which("kubectl")
    return Path(found) if found else builds.binary(builds.KUBERNETES, "kubectl")


def helm() -> Path:
    """Return a helm."""
    found = shutil.which("helm")
    return Path(found) if found else builds.binary(builds.HELM)


def promtool() -> Path | None:
    """Return a promtool: from PATH, else unpacked from Debian's prometheus; installing that would start a server."""
    found, cached = shutil.which("promtool"), settings.CACHE / "promtool"
    if found:
        return Path(found)
    if not cached.exists() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        _unpack_promtool(cached)
    return cached if cached.exists() else None


def _unpack_promtool(target: Path) -> None:
    settings.CACHE.mkdir(parents=True, exist_ok=True)
    with (
        terminal.step("promtool", "unpacking", usually="10 s"),
        tempfile.TemporaryDirectory(dir=settings.CACHE) as work,
    ):
        packages.apt("update")
        packages.apt("download", "prometheus", folder=Path(work))
        package = next(Path(work).glob("prometheus_*.deb"))
        subprocess.run(("dpkg-deb", "--extract", package, work), check=True)
        (Path(work) / "usr/bin/promtool").rename(target)
