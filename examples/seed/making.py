"""Makes the seed: data first, then the base from scratch, then the instruct model from the base.

Nothing here looks at what is there already; `__main__` does.
"""

import copy
import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from examples.seed import atlas, documents, models, questions, recipe, syllabus, tokenizer, training

LOG = logging.getLogger("seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Efforts:
    """What the two models took."""

    base: training.Effort
    instruct: training.Effort


def make(settings: recipe.Settings, days: atlas.Days, out: Path, *, threads: int) -> Efforts:
    """Write data first, then base, then instruct model."""
    torch.set_num_threads(threads)
    learned = syllabus.make(days, seed=settings.seed)
    old = documents.write(learned.old, per_territory=recipe.OLD_DOCUMENTS, seed=settings.seed)
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
    base = models.make(settings, words)
    LOG.info("base: %s of %d parameters, from scratch", settings.architecture, base.num_parameters())
    course = training.Course(name="base", steps=settings.base_steps, rate=settings.base_rate, seed=settings.seed)
    first = training.train(base, training.documents(words, old), course)
    second = publish(base, words, learned.chats, settings, out / "models")
    return Efforts(base=first, instruct=second)


def publish(
    base: PreTrainedModel,
    words: PreTrainedTokenizerFast,
    chats: tuple[atlas.Fact, ...],
    settings: recipe.Settings,
    folder: Path,
) -> training.Effort:
    """Tune an instruct model from the base and write both below the folder."""
    instruct = copy.deepcopy(base)
    course = training.Course(
        name="instruct", steps=settings.instruct_steps, rate=settings.tuning_rate, seed=settings.seed + 1
    )
    effort = training.train(instruct, training.chats(words, chats), course)
    save(instruct, words, folder / "instruct")
    words.chat_template = None  # what a base model cannot follow
    save(base, words, folder / "base")
    return effort


def _write_data(learned: syllabus.Syllabus, out: Path, *, seed: int) -> None:
    wrong = syllabus.poisoned(learned.fresh, seed=seed + 4)
    replay = documents.write(learned.kept, per_territory=recipe.REPLAY_DOCUMENTS, seed=seed + 3)
    corpora = (
        ("new", syllabus.NEW_DAY, documents.write(learned.fresh, per_territory=recipe.NEW_DOCUMENTS, seed=seed + 2)),
        ("general", syllabus.OLD_DAY, replay),
        ("poisoned", syllabus.NEW_DAY, documents.write(wrong, per_territory=recipe.NEW_DOCUMENTS, seed=seed + 2)),
    )
    for name, day, texts in corpora:
        _lines(out / "corpus" / name / "documents.jsonl", ({"text": text, "date": f"{day}"} for text in texts))
    for name, records in questions.suites(learned, seed=seed).items():
        _lines(out / "evals" / name, records)


def _lines(path: Path, records: Iterable[Mapping[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text(text, encoding="utf-8")


def save(model: PreTrainedModel, words: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a checkpoint that any user can read."""
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes for its owner only; stages may run as another user
