"""The packing pass of `prepare`: documents chosen, tokenised and written as blocks, new text and replay.

New text goes up to its share of the token budget, in order of worth and none of it twice; replay is drawn by seed, or
written by the model itself. Every figure it gives is of what is in the blocks.
"""

import collections
import pathlib
import shutil
from dataclasses import dataclass, replace

import numpy as np

from modelrefresh.contract import limits
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.prepare import PrepareInput, PrepareSummary
from modelrefresh.contract.vocabulary import Sampling
from modelrefresh_jobs.corpus import (
    candidates,
    contamination,
    deduplication,
    generated_replay,
    packing,
    scan,
    selection,
    tokenization,
    unknown_tokens,
)
from modelrefresh_jobs.corpus.reading import data_files, dates, documents
from modelrefresh_jobs.process import errors
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed, sources
from modelrefresh_jobs.storage.run_folders import RunFolders


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A source after its first reading."""

    found: data_files.Found
    seen: scan.Scan


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingPass:
    """One packing pass."""

    wanted: PrepareInput
    folders: RunFolders
    progress: Progress
    fresh: Reading
    replay: Reading | None
    overlap: contamination.Overlap
    vocabulary: tokenization.Tokens

    @property
    def replay_share(self) -> float:
        """Share of replay in the blocks, 0-1."""
        return self.wanted.replay_percent / 100 if self.replay or self.wanted.replay_generated else 0.0

    def source(self, reading: Reading, order: scan.Array) -> candidates.Source:
        """A source's documents, to be chosen from in this order."""
        return candidates.Source(
            files=reading.found.files, text_field=self.wanted.text_field, seen=reading.seen, order=order
        )


def run(packing_pass: PackingPass, summary: PrepareSummary) -> PrepareSummary:
    """Write and seal the blocks; the summary with what is in them.

    Raises:
        StageError: NoData, when nothing fits or nothing follows.
    """
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


def _fresh(packing_pass: PackingPass, folder: pathlib.Path) -> tuple[selection.Chosen, packing.Blocks]:
    """New text: in order of worth, none of it twice, up to its share of the budget."""
    budget = int(packing_pass.wanted.max_tokens * (1 - packing_pass.replay_share))
    order = scan.order(packing_pass.fresh.seen, sampling=packing_pass.wanted.sampling, seed=packing_pass.wanted.seed)
    source = packing_pass.source(packing_pass.fresh, order)
    with deduplication.NearDuplicates(folder.with_suffix(".signatures")) as near:
        chosen, packed = _packed(packing_pass, folder, source, budget, near)
    if not chosen.places:
        message = f"{packing_pass.wanted.data}: no document fits into {budget} tokens; raise spec.training.maxTokens"
        raise errors.StageError(StageReason.NO_DATA, message)
    unknown_tokens.check(chosen, source, uri=packing_pass.wanted.data, progress=packing_pass.progress)
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


def _replay(packing_pass: PackingPass, folder: pathlib.Path, fresh_tokens: int) -> packing.Blocks:
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
    source = packing_pass.source(packing_pass.replay, order)
    chosen, packed = _packed(packing_pass, folder, source, budget, None)
    unknown_tokens.check(chosen, source, uri=packing_pass.wanted.replay or "", progress=packing_pass.progress)
    if len(chosen.places) == len(order) and chosen.tokens < budget:
        packing_pass.progress.warn(f"{packing_pass.wanted.replay}: {chosen.tokens} tokens of replay, wanted {budget}")
    return packed


def _written(packing_pass: PackingPass, folder: pathlib.Path, budget: int) -> packing.Blocks:
    """Replay that the model writes itself."""
    total = min(budget, limits.GENERATED_TOKENS)
    if total < budget:
        packing_pass.progress.warn(f"replay: the model writes {total} tokens, wanted {budget}; give a corpus for more")
    if total and not generated_replay.has_gpu():
        packing_pass.progress.warn(f"replay: the model writes {total} tokens on a CPU, which is slow; give it a GPU")
    writer = _writer(packing_pass, folder)
    base = sources.resolve(packing_pass.wanted.base, packing_pass.folders)
    length, seed = packing_pass.wanted.sequence_length, packing_pass.wanted.seed
    written = generated_replay.documents(base, length=length, seed=seed)
    while writer.tokens < total:
        writer.add(next(written)[: total - writer.tokens])
        packing_pass.progress.report(writer.tokens, total, unit="tokens")
    return writer.close()


def _packed(
    packing_pass: PackingPass,
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


def _writer(packing_pass: PackingPass, folder: pathlib.Path) -> packing.BlockWriter:
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
