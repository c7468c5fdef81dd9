"""What an image is made of: a Dockerfile, a hashed lock and the wheel, staged in one small build context.

Knows: the two images and the settings of this machine that a build may see but not keep. Refuses to know: which
engine builds.
"""

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hack.images import cache

IMAGES = ("operator", "jobs")
USUALLY = {"operator": "30 s the first time, else 10 s", "jobs": "6 min the first time, else 20 s"}
CERTIFICATES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
PASSED_ON = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "UV_INDEX_URL")
PASSED_ON_TOO = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_HTTP_TIMEOUT", "UV_NATIVE_TLS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One image, ready to be built."""

    image: str
    context: Path
    dockerfile: Path
    version: str
    key: str
    secrets: tuple[tuple[str, Path], ...]


def stage(image: str, *, wheel: Path, base: str, settings: Mapping[str, str]) -> Recipe:
    """Lay out the build context of one image and name its content by a digest; settings are seen while building."""
    folder = cache.fresh_scratch(image)
    recipe = folder / "recipe"
    context = recipe / "context"
    (context / "requirements").mkdir(parents=True)
    (context / "dist").mkdir()
    for lock in ("bootstrap.txt", f"{image}.txt"):
        shutil.copyfile(cache.CHECKOUT / "requirements" / lock, context / "requirements" / lock)
    shutil.copyfile(wheel, context / "dist" / wheel.name)
    shutil.copyfile(cache.CHECKOUT / "images" / image / "Dockerfile", recipe / "Dockerfile")
    return Recipe(
        image=image,
        context=context,
        dockerfile=recipe / "Dockerfile",
        version=wheel.name.split("-")[1],
        key=cache.digest_of_text(base, cache.digest_of_tree(recipe)),
        secrets=_secrets(folder, settings),
    )


def _secrets(folder: Path, engine_settings: Mapping[str, str]) -> tuple[tuple[str, Path], ...]:
    """Write the settings that reach the package registry from here; they are mounted into single build steps."""
    settings = {name: os.environ[name] for name in PASSED_ON + PASSED_ON_TOO if name in os.environ}
    certificates = next((Path(os.environ[name]) for name in CERTIFICATES if os.environ.get(name)), None)
    secrets: list[tuple[str, Path]] = []
    if certificates is not None and certificates.is_file():
        settings |= {"SSL_CERT_FILE": "/run/secrets/certificates", "PIP_CERT": "/run/secrets/certificates"}
        secrets.append(("certificates", certificates))
    settings |= engine_settings
    registry = folder / "registry.env"
    registry.touch(mode=0o600)
    registry.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()))
    return (*secrets, ("registry", registry))
