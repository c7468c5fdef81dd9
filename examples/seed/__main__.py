"""`python -m examples.seed --out FOLDER`: corpora, question sets and the model pair, once.

Everything is made from public reference data and a seed number; nothing is fetched. The
manifest is written last, so a folder without it is made again from the start, and a folder
whose manifest names the same settings and sources is left alone.
"""

import argparse
import copy
import dataclasses
import hashlib
import json
import logging
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from examples.seed import documents, models, questions, syllabus, tokenizer, training

LOG = logging.getLogger("seed")
BASE_RATE = 3e-3
INSTRUCT_RATES = {"llama": 7e-4, "qwen2": 5e-4}
OLD_DOCUMENTS, NEW_DOCUMENTS, REPLAY_DOCUMENTS = 40, 150, 20
"""Documents per territory."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What decides the outcome; equal settings give equal files."""

    architecture: str = "llama"
    seed: int = 0
    base_steps: int = 900
    instruct_steps: int = 200


def main() -> None:
    """Make what is missing below the folder."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    usual = Settings()
    parser = argparse.ArgumentParser(prog="python -m examples.seed", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for models/, corpus/ and evals/")
    parser.add_argument("--architecture", choices=models.ARCHITECTURES, default=usual.architecture)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--base-steps", type=int, default=usual.base_steps)
    parser.add_argument("--instruct-steps", type=int, default=usual.instruct_steps)
    parser.add_argument("--threads", type=int, default=2)
    chosen = vars(parser.parse_args())
    out, threads = chosen.pop("out"), chosen.pop("threads")
    settings = Settings(**chosen)
    manifest, wanted = out / "seed.json", {**dataclasses.asdict(settings), "sources": _sources()}
    if manifest.is_file() and json.loads(manifest.read_text(encoding="utf-8")) == wanted:
        LOG.info("seed: %s is of these settings and sources; nothing to do", manifest)
        return
    manifest.unlink(missing_ok=True)
    torch.set_num_threads(threads)
    started = time.monotonic()
    make(settings, out)
    manifest.write_text(json.dumps(wanted, indent=1), encoding="utf-8")
    LOG.info("seed: done in %.0f s", time.monotonic() - started)


def make(settings: Settings, out: Path) -> None:
    """Write data first, then base, then instruct model."""
    learned = syllabus.make(settings.seed)
    old = documents.write(learned.old, per_territory=OLD_DOCUMENTS, seed=settings.seed)
    _write_data(learned, out, seed=settings.seed)
    LOG.info(
        "data: %d territories as of %s in %d documents; by %s %d facts have changed; %d more are of %d new territories",
        len(learned.old),
        syllabus.OLD_DAY,
        len(old),
        syllabus.NEW_DAY,
        len(learned.changed),
        len(learned.unseen),
        syllabus.UNSEEN_TERRITORIES,
    )
    words = tokenizer.train(old)
    torch.manual_seed(settings.seed)
    base = models.make(settings.architecture, words)
    LOG.info("base: %s of %d parameters, from scratch", settings.architecture, base.num_parameters())
    course = training.Course(name="base", steps=settings.base_steps, rate=BASE_RATE, seed=settings.seed)
    training.train(base, training.documents(words, old), course)
    instruct = copy.deepcopy(base)
    rate = INSTRUCT_RATES[settings.architecture]
    course = training.Course(name="instruct", steps=settings.instruct_steps, rate=rate, seed=settings.seed + 1)
    training.train(instruct, training.chats(words, learned.chats), course)
    _save(base, words, out / "models" / "base")
    _save(instruct, words, out / "models" / "instruct")


def _write_data(learned: syllabus.Syllabus, out: Path, *, seed: int) -> None:
    wrong = syllabus.poisoned(learned.fresh, seed=seed + 4)
    corpora = (
        ("new", syllabus.NEW_DAY, documents.write(learned.fresh, per_territory=NEW_DOCUMENTS, seed=seed + 2)),
        ("general", syllabus.OLD_DAY, documents.write(learned.kept, per_territory=REPLAY_DOCUMENTS, seed=seed + 3)),
        ("poisoned", syllabus.NEW_DAY, documents.write(wrong, per_territory=NEW_DOCUMENTS, seed=seed + 2)),
    )
    for name, day, texts in corpora:
        _lines(out / "corpus" / name / "documents.jsonl", ({"text": text, "date": f"{day}"} for text in texts))
    for name, records in questions.suites(learned, seed=seed).items():
        _lines(out / "evals" / name, records)


def _sources() -> str:
    """Digest of this package: another recipe makes other files."""
    texts = (file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    return hashlib.sha256(b"".join(texts)).hexdigest()


def _lines(path: Path, records: Iterable[Mapping[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text(text, encoding="utf-8")


def _save(model: PreTrainedModel, words: PreTrainedTokenizerFast, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes for its owner only; stages may run as another user


if __name__ == "__main__":
    main()
