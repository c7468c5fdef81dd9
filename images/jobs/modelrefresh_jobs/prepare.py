"""The prepare stage: documents in, packed token blocks out.

Order: prove what later stages need, survey the data (damaged or unchanged data ends here), then
tokenise and pack: new text in file order up to the token budget, replay chosen by a fixed
seed. Equal input gives equal blocks. Knows nothing of training.
"""

import logging
import pathlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from modelrefresh.contract import artifacts, env, result
from modelrefresh_jobs import (
    advice,
    documents,
    duplicates,
    failures,
    intake,
    overlap,
    packing,
    preflight,
    sealed,
    sources,
    survey,
    tokens,
)
from modelrefresh_jobs.progress import Progress

LOG = logging.getLogger("modelrefresh.jobs")
_REPLAY_MARGIN = 1.2
"""Replay texts are chosen by characters; this much more than needed covers another ratio of tokens."""


@dataclass(slots=True, kw_only=True)
class _Work:
    """One packing pass."""

    request: env.StageInput
    wanted: env.PrepareInput
    progress: Progress
    data: pathlib.Path
    fresh: survey.Survey
    replay_data: pathlib.Path | None
    replay: survey.Survey | None
    overlap: overlap.Overlap
    kept: int = 0
    near_duplicates: int = 0

    @property
    def replay_share(self) -> float:
        """Share of replay in the blocks, 0-1."""
        return self.wanted.replay_percent / 100 if self.replay else 0.0


def blocks(request: env.StageInput) -> pathlib.Path:
    """Where this run's packed blocks are."""
    workspace = artifacts.Workspace(root=pathlib.Path(request.workspace))
    return workspace.stage(request.owner, request.run, env.Stage.PREPARE) / "blocks"


def artifact(request: env.StageInput, summary: result.PrepareSummary) -> pathlib.Path | None:
    """The sealed blocks; unchanged data leaves none."""
    return None if summary.unchanged else blocks(request)


def run(request: env.StageInput, progress: Progress) -> result.PrepareSummary:
    """Prepare one run's data.

    Raises:
        StageError: DataUnreadable, NoData, BaseMismatch, or what `preflight` says.
    """
    wanted = request.prepare
    assert wanted is not None  # noqa: S101 -- env.parse() guarantees the section of the stage
    ready = preflight.check(request, wanted)
    _check_base(request, wanted)
    questions = {name: [item.text for item in suite.items] for name, suite in ready.suites.items()}
    data = sources.resolve(wanted.data, request, reason="DataUnreadable")
    fresh = survey.take(documents.read(data, text_field=wanted.text_field))
    if not fresh.lengths:
        raise _no_data(wanted, fresh)
    replay_data = sources.resolve(wanted.replay, request, reason="DataUnreadable") if wanted.replay else None
    replay = survey.take(documents.read(replay_data, text_field=wanted.text_field)) if replay_data else None
    fingerprint = survey.fingerprint(wanted, fresh, replay)
    summary = result.PrepareSummary(
        fingerprint=fingerprint,
        unchanged=fingerprint == wanted.unchanged_fingerprint,
        documents=fresh.documents,
        kept=len(fresh.lengths),
        dropped=fresh.dropped,
        tokens=0,
        replay_tokens=0,
        blocks=0,
        newest=fresh.newest,
    )
    if summary.unchanged:
        LOG.info("prepare: the data has not changed since fingerprint %s", fingerprint)
        return summary
    for text in advice.given(wanted, parameters=intake.accept(sources.resolve(wanted.base, request)).parameters):
        progress.warn(text)
    preflight.check_bytes(ready)
    work = _Work(
        request=request,
        wanted=wanted,
        progress=progress,
        data=data,
        fresh=fresh,
        replay_data=replay_data,
        replay=replay,
        overlap=overlap.Overlap(questions),
    )
    return _pack(work, summary)


def _check_base(request: env.StageInput, wanted: env.PrepareInput) -> None:
    """Refuse a base that the residual was not cut from, before anything is trained on it."""
    if wanted.base_fingerprint is None:
        return
    workspace = artifacts.Workspace(root=pathlib.Path(request.workspace))
    saw = intake.fingerprint(sources.resolve(wanted.base, request), workspace=workspace)
    if saw != wanted.base_fingerprint:
        message = (
            f"{wanted.base}: its weights have the fingerprint {saw}, the residual was cut from "
            f"{wanted.base_fingerprint}. Training must start from the base of the InstructionResidual: compare "
            "spec.base.uri of both objects, or make a new InstructionResidual if the files were replaced."
        )
        raise failures.StageError("BaseMismatch", message)


def _no_data(wanted: env.PrepareInput, fresh: survey.Survey) -> failures.StageError:
    return failures.StageError(
        "NoData",
        f"{wanted.data}: {fresh.documents} documents read, none kept (dropped: {fresh.dropped}). Expected .jsonl, "
        f".parquet or .txt files with texts of at least {survey.MIN_CHARACTERS} characters.",
    )


def _pack(work: _Work, summary: result.PrepareSummary) -> result.PrepareSummary:
    target = blocks(work.request)
    vocabulary = tokens.Tokens(sources.resolve(work.wanted.base, work.request))
    parents = {"base": work.wanted.base, "data": work.wanted.data, "fingerprint": summary.fingerprint}
    with sealed.draft(
        target.parent, kind="blocks", label="blocks", attempt=work.request.attempt, parents=parents
    ) as made:
        fresh = _fill_fresh(work, _writer(work, made.path / "fresh", vocabulary), vocabulary)
        replay, rows = _fill_replay(work, _writer(work, made.path / "replay", vocabulary), vocabulary, fresh)
        count = packing.mix(made.path, fresh, replay, rows)
        for name in ("fresh", "replay"):
            shutil.rmtree(made.path / name)
        sealed.seal(made, target=target)
    near_duplicates, left = work.near_duplicates, summary.kept - work.kept - work.near_duplicates
    late = {"near_duplicate": near_duplicates, "over_budget": left}
    replay_tokens = packing.tokens(replay, rows)
    return replace(
        summary,
        kept=work.kept,
        dropped={**summary.dropped, **{reason: number for reason, number in late.items() if number}},
        tokens=packing.tokens(fresh) + replay_tokens,
        replay_tokens=replay_tokens,
        blocks=count,
        overlap=work.overlap.shares(),
    )


def _writer(work: _Work, folder: pathlib.Path, vocabulary: tokens.Tokens) -> packing.BlockWriter:
    return packing.BlockWriter(folder, sequence_length=work.wanted.sequence_length, padding_token=vocabulary.end)


def _fill_fresh(work: _Work, writer: packing.BlockWriter, vocabulary: tokens.Tokens) -> packing.Blocks:
    budget = int(work.wanted.max_tokens * (1 - work.replay_share))
    total = len(work.fresh.lengths)
    for ids in vocabulary.encode(_unlike(work)):
        if writer.tokens + len(ids) > budget:
            LOG.warning("prepare: %d tokens are reached; the documents after them are left out", budget)
            break
        writer.add(ids)
        work.kept += 1
        work.progress.report(work.kept, total, unit="documents", tokens=float(writer.tokens))
    if not work.kept:
        message = f"{work.wanted.data}: the first document does not fit into {budget} tokens; raise training.maxTokens"
        raise failures.StageError("NoData", message)
    return writer.close()


def _unlike(work: _Work) -> Iterator[str]:
    """The texts that are unlike all before them; each one is searched for evaluation items."""
    near = duplicates.NearDuplicates()
    for text in survey.distinct(work.data, text_field=work.wanted.text_field):
        if near.seen(text):
            work.near_duplicates += 1
        else:
            work.overlap.scan(text)
            yield text


def _fill_replay(
    work: _Work, writer: packing.BlockWriter, vocabulary: tokens.Tokens, fresh: packing.Blocks
) -> tuple[packing.Blocks, packing.Array]:
    """Replay blocks and which of them are used; documents and blocks are drawn by seed."""
    if work.replay is None or work.replay_data is None or not work.replay_share:
        return writer.close(), np.empty(0, np.int64)
    wanted = round(len(fresh[0]) * work.replay_share / (1 - work.replay_share))
    ratio = sum(work.fresh.lengths.values()) / packing.tokens(fresh)
    characters = _REPLAY_MARGIN * ratio * wanted * work.wanted.sequence_length
    drawn = survey.draw(work.replay, characters=characters, seed=work.wanted.seed)
    texts = survey.distinct(work.replay_data, text_field=work.wanted.text_field)
    for ids in vocabulary.encode(text for text in texts if duplicates.digest(text) in drawn):
        writer.add(ids)
    packed = writer.close()
    if len(packed[0]) < wanted:
        LOG.warning("prepare: %s gives %d blocks of replay, wanted %d", work.wanted.replay, len(packed[0]), wanted)
    order = np.random.default_rng(work.wanted.seed).permutation(len(packed[0]))
    return packed, np.sort(order[:wanted])
