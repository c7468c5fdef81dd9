"""`python3 -m hack.images build [operator|jobs]`: images from the checkout, pushed to the cluster's registry.

Knows: the order of things and when nothing is to be done. Refuses to know: how an engine works. The pushed references
by digest are printed and kept in images.json of the project's cache folder.
"""

import argparse
from types import ModuleType

from hack.images import buildah, cache, docker, progress, recipe, registry, wheel
from hack.images.recipe import Recipe


def main() -> None:
    """Build the named images, or both."""
    parser = argparse.ArgumentParser(prog="python3 -m hack.images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build the images from the checkout and push them")
    build.add_argument("images", nargs="*", metavar="|".join(recipe.IMAGES), help="default: all")
    wanted = parser.parse_args().images or list(recipe.IMAGES)
    unknown = sorted(set(wanted) - set(recipe.IMAGES))
    if unknown:
        parser.error(f"unknown image {unknown[0]!r}; expected one of {', '.join(recipe.IMAGES)}")
    with cache.exclusive():
        engine = _engine()
        registry.start()
        built = wheel.build()
        for image in wanted:
            staged = recipe.stage(image, wheel=built, base=engine.BASE, settings=engine.SETTINGS)
            _bring(staged, engine=engine)


def _engine() -> ModuleType:
    """Prefer docker where it answers: it reaches the usual base images. Else buildah, installed if need be."""
    if docker.answers():
        return docker
    buildah.install()
    return buildah


def _bring(wanted: Recipe, *, engine: ModuleType) -> None:
    reference = registry.find(wanted.image, tag=wanted.key)
    if reference is None:
        engine.build(wanted)
        reference = engine.push(wanted, repository=registry.repository(wanted.image))
    cache.record(wanted.image, reference=reference)
    cache.fresh_scratch(wanted.image)
    progress.say(f"{wanted.image}: {reference}")


if __name__ == "__main__":
    main()
