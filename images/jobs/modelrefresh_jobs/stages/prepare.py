"""Stage `prepare`: documents in, packed token blocks out.

Order: prove what later stages need, survey the data (damaged or unchanged data ends here), then
tokenise and pack: new text up to the token budget, the newest first or drawn by seed, and replay
drawn by seed. Every figure it gives is of what is in the blocks. Equal input gives equal blocks.
Knows nothing of training.
"""

import collections
import datetime as dt
import itertools
import logging
import pathlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.prepare import PrepareInput, PrepareSummary
from modelrefresh.contract.vocabulary import Sampling
from modelrefresh_jobs import advice, preflight
from modelrefresh_jobs.corpus import (
    candidates,
    contamination,
    data_files,
    dates,
    deduplication,
    documents,
    generated_replay,
    packing,
    scan,
    selection,
    tokenization,
)
from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.process import errors
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed, sources
from modelrefresh_jobs.storage.run_folders import RunFolders

LOG = logging.getLogger("modelrefresh.jobs")
_SAMPLED = 64
"""Files of which one text is tokenised twice, to see that both ways agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """A source after its first reading."""

    found: data_files.Found
    seen: scan.Scan


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packing:
    """One packing pass."""

    wanted: PrepareInput
    folders: RunFolders
    progress: Progress
    fresh: _Reading
    replay: _Reading | None
    overlap: contamination.Overlap
    vocabulary: tokenization.Tokens

    @property
    def replay_share(self) -> float:
        """Share of replay in the blocks, 0-1."""
        return self.wanted.replay_percent / 100 if self.replay or self.wanted.replay_generated else 0.0

    def source(self, reading: _Reading, order: scan.Array) -> candidates.Source:
        """A source's documents, to be chosen from in this order."""
        return candidates.Source(
            files=reading.found.files, text_field=self.wanted.text_field, seen=reading.seen, order=order
        )


def artifact(folders: RunFolders, summary: PrepareSummary) -> pathlib.Path | None:
    """The sealed blocks; unchanged data leaves none."""
    return None if summary.unchanged else folders.blocks


def run(
    wanted: PrepareInput, folders: RunFolders, progress: Progress, *, today: dt.date | None = None
) -> PrepareSummary:
    """Prepare one run's data; documents dated after `today`, by default the day it is in UTC, count as undated.

    Raises:
        StageError: DataUnreadable, NoData, BaseMismatch, or what `preflight` says.
    """
    today = today or dt.datetime.now(dt.UTC).date()
    ready = preflight.check(wanted, folders, progress)
    _check_base(wanted, folders)
    fresh = _read(wanted.data, wanted, folders, today)
    if not len(fresh.seen.digests):
        raise _no_data(wanted, fresh)
    replay = _read(wanted.replay, wanted, folders, today) if wanted.replay else None
    fingerprint = scan.fingerprint(wanted, fresh.seen, replay.seen if replay else None)
    summary = PrepareSummary(
        fingerprint=fingerprint,
        unchanged=fingerprint == wanted.unchanged_fingerprint,
        documents=fresh.seen.documents,
        kept=len(fresh.seen.digests),
        dropped=fresh.seen.dropped,
        tokens=0,
        replay_tokens=0,
        blocks=0,
        unusable_dates=fresh.seen.unusable_dates,
        ignored_files=len(fresh.found.ignored),
        ignored_examples=fresh.found.examples(),
    )
    if summary.unchanged:
        LOG.info("prepare: the data has not changed since fingerprint %s", fingerprint)
        return summary
    _warn(wanted, (fresh, replay), ready, progress)
    preflight.check_bytes(ready)
    packing_pass = _Packing(
        wanted=wanted,
        folders=folders,
        progress=progress,
        fresh=fresh,
        replay=replay,
        overlap=contamination.Overlap(
            {name: [item.text for item in suite.items] for name, suite in ready.suites.items()}
        ),
        vocabulary=tokenization.Tokens(sources.resolve(wanted.base, folders), sample=_sample(wanted, fresh, replay)),
    )
    return _pack(packing_pass, summary)


def _warn(
    wanted: PrepareInput,
    readings: tuple[_Reading, _Reading | None],
    ready: preflight.Ready,
    progress: Progress,
) -> None:
    for uri, reading in zip((wanted.data, wanted.replay), readings, strict=True):
        if reading and reading.found.ignored:
            progress.warn(f"{uri}: {len(reading.found.ignored)} files are not read: {reading.found.examples()}")
    for text in advice.given(wanted, parameters=ready.start.parameters, family=ready.start.family):
        progress.warn(text)


def _read(uri: str, wanted: PrepareInput, folders: RunFolders, today: dt.date) -> _Reading:
    found = data_files.find(sources.resolve(uri, folders, reason=StageReason.DATA_UNREADABLE))
    records = documents.read(found.files, text_field=wanted.text_field)
    return _Reading(found=found, seen=scan.of(records, today=today))


def _sample(wanted: PrepareInput, *readings: _Reading | None) -> Iterator[str]:
    """The first text of each file, of some files spread over all."""
    files = [file for reading in readings if reading for file in reading.found.files]
    for file in files[:: max(1, len(files) // _SAMPLED)]:
        yield from (one.text for one in itertools.islice(documents.read([file], text_field=wanted.text_field), 1))


def _check_base(wanted: PrepareInput, folders: RunFolders) -> None:
    """Refuse a base that the residual was not cut from, before anything is trained on it."""
    if wanted.base_fingerprint is None:
        return
    saw = model_folder.fingerprint(sources.resolve(wanted.base, folders))
    if saw != wanted.base_fingerprint:
        message = (
            f"{wanted.base}: its weights have the fingerprint {saw}, the residual was cut from "
            f"{wanted.base_fingerprint}. Training must start from the base of the InstructionResidual: compare "
            "spec.base.uri of both objects, or make a new InstructionResidual if the files were replaced."
        )
        raise errors.StageError(StageReason.BASE_MISMATCH, message)


def _no_data(wanted: PrepareInput, fresh: _Reading) -> errors.StageError:
    ignored = f", {len(fresh.found.ignored)} files not read ({fresh.found.examples()})" if fresh.found.ignored else ""
    dropped = ", ".join(f"{reason} {count}" for reason, count in sorted(fresh.seen.dropped.items()))
    return errors.StageError(
        StageReason.NO_DATA,
        f"{wanted.data}: {fresh.seen.documents} documents read, none kept ({dropped or 'none dropped'}){ignored}. "
        f"Expected {', '.join(data_files.KINDS)} files with texts of at least {scan.MIN_BYTES} bytes.",
    )


def _pack(packing_pass: _Packing, summary: PrepareSummary) -> PrepareSummary:
    target = packing_pass.folders.blocks
    parents = {"base": packing_pass.wanted.base, "data": packing_pass.wanted.data, "fingerprint": summary.fingerprint}
    with sealed.draft(
        target.parent, kind="blocks", label="blocks", attempt=packing_pass.folders.attempt, parents=parents
    ) as made:
        chosen, fresh = _fresh(packing_pass, made.path / "fresh")
        replay = _replay(packing_pass, made.path / "replay", chosen.tokens)
        count, replay_tokens = packing.mix(made.path, fresh, replay), _tokens(replay)
        if not count:
            raise _nothing_to_predict(packing_pass.wanted)
        for name in ("fresh", "replay"):
            shutil.rmtree(made.path / name)
        sealed.seal(made, target=target)
    late = chosen.dropped | {"over_budget": summary.kept - len(chosen.places) - sum(chosen.dropped.values())}
    dropped = collections.Counter(summary.dropped) + collections.Counter(late)
    return replace(
        summary,
        kept=len(chosen.places),
        cut=chosen.cut,
        dropped=dict(dropped),
        tokens=_tokens(fresh) + replay_tokens,
        replay_tokens=replay_tokens,
        generated=int((replay[1] == packing.START).sum()) if packing_pass.wanted.replay_generated else 0,
        blocks=count,
        newest=None if chosen.newest is None else dates.text(chosen.newest),
        overlap=packing_pass.overlap.shares(),
    )


def _fresh(packing_pass: _Packing, folder: pathlib.Path) -> tuple[selection.Chosen, packing.Blocks]:
    """New text: in order of worth, none of it twice, up to its share of the budget."""
    budget = int(packing_pass.wanted.max_tokens * (1 - packing_pass.replay_share))
    order = scan.order(packing_pass.fresh.seen, sampling=packing_pass.wanted.sampling, seed=packing_pass.wanted.seed)
    with deduplication.NearDuplicates(folder.with_suffix(".signatures")) as near:
        chosen, packed = _packed(packing_pass, folder, packing_pass.source(packing_pass.fresh, order), budget, near)
    if not chosen.places:
        message = f"{packing_pass.wanted.data}: no document fits into {budget} tokens; raise spec.training.maxTokens"
        raise errors.StageError(StageReason.NO_DATA, message)
    left = len(order) - len(chosen.places) - sum(chosen.dropped.values())
    if left or chosen.cut:
        cut = ", and the only one that is learnt is cut" if chosen.cut else ""
        packing_pass.progress.warn(f"{left} of {len(order)} documents do not fit into {budget} tokens{cut}")
        undated = int((packing_pass.fresh.seen.dates == scan.UNDATED).sum())
        if undated and packing_pass.wanted.sampling is Sampling.NEWEST:
            packing_pass.progress.warn(
                f"{undated} of {len(order)} documents have no usable date and are the last to be learnt; dates are "
                f"looked for in the fields {', '.join(documents.DATE_FIELDS)}"
            )
    return chosen, packed


def _replay(packing_pass: _Packing, folder: pathlib.Path, fresh_tokens: int) -> packing.Blocks:
    """Replay: drawn by seed, as much as its share asks for beside the new text that was found."""
    wanted = round(fresh_tokens * packing_pass.replay_share / (1 - packing_pass.replay_share))
    budget = min(wanted, packing_pass.wanted.max_tokens - fresh_tokens)
    if packing_pass.wanted.replay_generated:
        return _written(packing_pass, folder, budget)
    if packing_pass.replay is None or not packing_pass.replay_share:
        return _writer(packing_pass, folder).close()
    known = packing_pass.replay.seen.digests
    if again := int(np.isin(known, packing_pass.fresh.seen.digests, assume_unique=True).sum()):
        packing_pass.progress.warn(
            f"{packing_pass.wanted.replay}: {again} of {len(known)} documents of replay stand among the new; "
            "what is new keeps nothing that was known before"
        )
    order = scan.order(packing_pass.replay.seen, sampling=Sampling.UNIFORM, seed=packing_pass.wanted.seed)
    chosen, packed = _packed(packing_pass, folder, packing_pass.source(packing_pass.replay, order), budget, None)
    if len(chosen.places) == len(order) and chosen.tokens < budget:
        packing_pass.progress.warn(f"{packing_pass.wanted.replay}: {chosen.tokens} tokens of replay, wanted {budget}")
    return packed


def _written(packing_pass: _Packing, folder: pathlib.Path, budget: int) -> packing.Blocks:
    """Replay that the model writes itself."""
    total = min(budget, generated_replay.MOST)
    if total < budget:
        packing_pass.progress.warn(f"replay: the model writes {total} tokens, wanted {budget}; give a corpus for more")
    writer = _writer(packing_pass, folder)
    base = sources.resolve(packing_pass.wanted.base, packing_pass.folders)
    length, seed = packing_pass.wanted.sequence_length, packing_pass.wanted.seed
    written = generated_replay.documents(base, length=length, seed=seed)
    while writer.tokens < total:
        writer.add(next(written)[: total - writer.tokens])
        packing_pass.progress.report(writer.tokens, total, unit="tokens")
    return writer.close()


def _packed(
    packing_pass: _Packing,
    folder: pathlib.Path,
    source: candidates.Source,
    budget: int,
    near: deduplication.NearDuplicates | None,
) -> tuple[selection.Chosen, packing.Blocks]:
    chooser = selection.Selection(
        path=folder.with_suffix(".tokens"),
        vocabulary=packing_pass.vocabulary,
        overlap=packing_pass.overlap,
        near=near,
        progress=packing_pass.progress,
    )
    chosen = chooser.choose(source, budget=budget)
    return chosen, chooser.write(chosen, _writer(packing_pass, folder))


def _writer(packing_pass: _Packing, folder: pathlib.Path) -> packing.BlockWriter:
    length, padding = packing_pass.wanted.sequence_length, packing_pass.vocabulary.end
    return packing.BlockWriter(folder, sequence_length=length, padding_token=padding)


def _tokens(packed: packing.Blocks) -> int:
    marks = packed[1]
    return int(packing.tokens(marks)[packing.learnable(marks)].sum())


def _nothing_to_predict(wanted: PrepareInput) -> errors.StageError:
    return errors.StageError(
        StageReason.NO_DATA,
        f"{wanted.data}: in blocks of {wanted.sequence_length} tokens no token follows another; raise "
        "spec.training.sequenceLength",
    )
