"""The programs that people and tests use against a cluster that is not from source.

What is on PATH is taken; what is not is built from source where that is possible.
"""

import shutil
from pathlib import Path

from tests.cluster import builds


def kubectl() -> Path:
    """Return a kubectl."""
    found = shutil.which("kubectl")
    return Path(found) if found else builds.binary(builds.KUBERNETES, "kubectl")


def helm() -> Path:
    """Return a helm."""
    found = shutil.which("helm")
    return Path(found) if found else builds.binary(builds.HELM)


def promtool() -> Path | None:
    """Return the promtool on PATH, if there is one: it does not build from its module."""
    found = shutil.which("promtool")
    return Path(found) if found else None
