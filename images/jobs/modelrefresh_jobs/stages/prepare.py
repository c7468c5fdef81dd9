"""Stage `prepare`: documents in, packed token blocks out.

Order: prove what later stages need, survey the data (damaged or unchanged data ends here), then tokenise and pack,
which is `corpus/packing_pass.py`. Equal input gives equal blocks. Knows nothing of training.
"""

import datetime as dt
import itertools
import logging
import pathlib
import shutil
from collections.abc import Iterator

from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.prepare import PrepareInput, PrepareSummary
from modelrefresh_jobs import advice, preflight
from modelrefresh_jobs.corpus import contamination, packing_pass, scan, tokenization
from modelrefresh_jobs.corpus.packing_pass import PackingPass, Reading
from modelrefresh_jobs.corpus.reading import data_files, documents
from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.process import errors
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sources
from modelrefresh_jobs.storage.run_folders import RunFolders

LOG = logging.getLogger("modelrefresh.jobs")
_SAMPLED = 64
"""Files of which one text is tokenised twice, to see that both ways agree."""


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
    data, *others = [_found(uri, folders) for uri in (wanted.data, wanted.replay) if uri]
    # Blocks are made quickly, and old ones would be trained on if this attempt fails unseen.
    shutil.rmtree(folders.blocks, ignore_errors=True)
    fresh = _read(data, wanted, today)
    if not len(fresh.seen.digests):
        raise _no_data(wanted, fresh)
    replay = _read(others[0], wanted, today) if others else None
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
    planned = PackingPass(
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
    return packing_pass.run(planned, summary)


def _warn(
    wanted: PrepareInput,
    readings: tuple[Reading, Reading | None],
    ready: preflight.Ready,
    progress: Progress,
) -> None:
    for uri, reading in zip((wanted.data, wanted.replay), readings, strict=True):
        if reading and reading.found.ignored:
            progress.warn(f"{uri}: {len(reading.found.ignored)} files are not read: {reading.found.examples()}")
    for text in advice.given(wanted, parameters=ready.start.parameters, family=ready.start.family):
        progress.warn(text)


def _found(uri: str, folders: RunFolders) -> data_files.Found:
    return data_files.find(sources.resolve(uri, folders, reason=StageReason.DATA_UNREADABLE))


def _read(found: data_files.Found, wanted: PrepareInput, today: dt.date) -> Reading:
    records = documents.read(found.files, text_field=wanted.text_field)
    return Reading(found=found, seen=scan.of(records, today=today))


def _sample(wanted: PrepareInput, *readings: Reading | None) -> Iterator[str]:
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
            "spec.base.uri of both objects (by hand --base), or make a new InstructionResidual "
            "if the files were replaced."
        )
        raise errors.StageError(StageReason.BASE_MISMATCH, message)


def _no_data(wanted: PrepareInput, fresh: Reading) -> errors.StageError:
    ignored = f", {len(fresh.found.ignored)} files not read ({fresh.found.examples()})" if fresh.found.ignored else ""
    dropped = ", ".join(f"{reason} {count}" for reason, count in sorted(fresh.seen.dropped.items()))
    return errors.StageError(
        StageReason.NO_DATA,
        f"{wanted.data}: {fresh.seen.documents} documents read, none kept ({dropped or 'none dropped'}){ignored}. "
        f"Expected {', '.join(data_files.KINDS)} files with texts of at least {scan.MIN_BYTES} bytes.",
    )
