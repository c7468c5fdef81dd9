"""Stage `evaluate`: candidate and incumbent answer the same items.

All suites are read and both models' folders looked at before a model is loaded; one model is
in memory at a time; a model that is both candidate and incumbent answers once. Every item's
question, replies and figures stay in the stage's folder as `records/SUITE.jsonl`. Measures
only: the verdict is the operator's.
"""

import json
import logging
import pathlib
from collections.abc import Mapping, Sequence

from modelrefresh.contract import metrics
from modelrefresh.contract.stages.evaluate import EvaluateInput, EvaluateSummary, Score
from modelrefresh_jobs import preflight
from modelrefresh_jobs.evaluation import asking, generation, paired_difference, suites
from modelrefresh_jobs.evaluation.asking import Answers
from modelrefresh_jobs.models import prompts
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed, versions
from modelrefresh_jobs.storage.run_folders import RunFolders

LOG = logging.getLogger("modelrefresh.jobs")


def artifact(folders: RunFolders, _summary: EvaluateSummary) -> pathlib.Path:
    """The sealed per-item records."""
    return folders.records


def run(wanted: EvaluateInput, folders: RunFolders, progress: Progress) -> EvaluateSummary:
    """Evaluate.

    Raises:
        StageError: EvaluationUnreadable, ModelUnreadable or InvalidSpec.
    """
    chosen = suites.load_all(wanted.suites, folders)
    items = suites.choose(chosen, wanted.max_items)
    asked = [digest for digest in (wanted.candidate, wanted.incumbent) if digest]
    models = {digest: versions.find(digest, folders, deep=True) for digest in asked}
    for folder in models.values():
        preflight.check_answers(prompts.load(folder), items, max_new_tokens=wanted.max_new_tokens)
    progress.report(0, len(models) * sum(map(len, items.values())), unit="answers")
    answers: dict[str, dict[str, Answers]] = {}
    for digest, folder in models.items():
        chat = generation.Chat(folder)
        answers[digest] = {
            name: asking.ask(chat, suite.task, items[name], limit=wanted.max_new_tokens, progress=progress)
            for name, suite in chosen.items()
        }
        del chat
    _warn_of_cuts(wanted, answers, progress)
    summary = EvaluateSummary(
        candidate=wanted.candidate,
        incumbent=wanted.incumbent,
        scores=tuple(
            _score(name, metric, wanted, answers) for name, suite in chosen.items() for metric in metrics.of(suite.task)
        ),
    )
    _keep(folders, summary, items, answers)
    return summary


def _warn_of_cuts(wanted: EvaluateInput, answers: Mapping[str, Mapping[str, Answers]], progress: Progress) -> None:
    for role, digest in (("candidate", wanted.candidate), ("incumbent", wanted.incumbent)):
        for suite, said in (answers[digest] if digest else {}).items():
            cut = [reply for reply in said.replies if not reply.stopped]
            if 2 * len(cut) > len(said.replies):
                lost = sum(not reply.text.strip() for reply in cut)
                progress.warn(
                    f"suite {suite}: {len(cut)} of {len(said.replies)} replies of the {role} did not end within "
                    f"maxNewTokens ({wanted.max_new_tokens}), {lost} of them before any answer; what came after is not "
                    "measured: raise it, or look at the records and at the model's stop tokens"
                )


def _score(suite: str, metric: str, wanted: EvaluateInput, answers: Mapping[str, Mapping[str, Answers]]) -> Score:
    candidate = [figures[metric] for figures in answers[wanted.candidate][suite].figures]
    if wanted.incumbent is None:
        return paired_difference.compare(suite, metric, candidate, None)
    return paired_difference.compare(
        suite, metric, candidate, [figures[metric] for figures in answers[wanted.incumbent][suite].figures]
    )


def _keep(
    folders: RunFolders,
    summary: EvaluateSummary,
    items: Mapping[str, Sequence[suites.Item]],
    answers: Mapping[str, Mapping[str, Answers]],
) -> None:
    target = folders.records
    with sealed.draft(target.parent, kind="records", label="records", attempt=folders.attempt) as made:
        for suite, asked in items.items():
            with (made.path / f"{suite}.jsonl").open("w", encoding="utf-8") as file:
                for index, item in enumerate(asked):
                    file.write(json.dumps(_record(summary, suite, (index, item), answers), ensure_ascii=False) + "\n")
        sealed.seal(made, target=target)


def _record(
    summary: EvaluateSummary,
    suite: str,
    place: tuple[int, suites.Item],
    answers: Mapping[str, Mapping[str, Answers]],
) -> dict[str, object]:
    index, item = place
    record: dict[str, object] = {"id": item.id, "question": item.question, "answer": item.answer}
    for role, digest in (("candidate", summary.candidate), ("incumbent", summary.incumbent)):
        if digest:
            said = answers[digest][suite]
            reply = said.replies[index]
            thoughts = {"thoughts": reply.thoughts} if reply.thoughts else {}
            record[role] = {"reply": reply.text, **thoughts, "stopped": reply.stopped, **said.figures[index]}
    return record
