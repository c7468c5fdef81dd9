"""`python -m examples.seed --out FOLDER`: corpora, question sets and the model pair, once.

Everything is made from public reference data and a seed number; nothing is fetched. The
facts are asked of their packages, or read from a document that was made elsewhere. The
manifest is written last, so a folder without it is made again from the start, and a folder
whose manifest names the same settings, facts and sources is left alone.
"""

import argparse
import dataclasses
import hashlib
import json
import logging
import sys
import time
from pathlib import Path

from examples.seed import atlas, recipe, syllabus

LOG = logging.getLogger("seed")


def main() -> None:
    """Make what is missing below the folder."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    usual = recipe.Settings()
    parser = argparse.ArgumentParser(prog="python -m examples.seed", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for models/, corpus/ and evals/")
    parser.add_argument("--facts", type=Path, help="document of facts; else they are made, by packages of extra `demo`")
    parser.add_argument("--architecture", choices=recipe.ARCHITECTURES, default=usual.architecture)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--base-steps", type=int, default=usual.base_steps)
    parser.add_argument("--instruct-steps", type=int, default=usual.instruct_steps)
    parser.add_argument("--threads", type=int, default=2)
    chosen = vars(parser.parse_args())
    out, facts, threads = chosen.pop("out"), _facts(chosen.pop("facts")), chosen.pop("threads")
    settings = recipe.Settings(**chosen)
    manifest = out / "seed.json"
    wanted = {**dataclasses.asdict(settings), "facts": _digest(facts), "sources": _sources()}
    if manifest.is_file() and json.loads(manifest.read_text(encoding="utf-8")) == wanted:
        LOG.info("seed: %s is of these settings, facts and sources; nothing to do", manifest)
        return
    manifest.unlink(missing_ok=True)
    from examples.seed import making  # noqa: PLC0415 -- torch takes long to import and is not needed above

    started = time.monotonic()
    making.make(settings, atlas.read(facts), out, threads=threads)
    manifest.write_text(json.dumps(wanted, indent=1), encoding="utf-8")
    LOG.info("seed: done in %.0f s", time.monotonic() - started)


def _facts(path: Path | None) -> str:
    """The document of this path, or one made here."""
    if path is not None:
        return path.read_text(encoding="utf-8")
    from examples.seed import world  # noqa: PLC0415 -- the Jobs image lacks what it imports

    return world.document(*syllabus.DAYS)


def _sources() -> str:
    """Digest of this package: another recipe makes other files."""
    return _digest("".join(file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.py"))))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()
