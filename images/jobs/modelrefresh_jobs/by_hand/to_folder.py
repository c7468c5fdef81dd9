"""extract, import and merge by hand: the same work as in a pod, written as one folder of any name.

Knows which parts each of them takes and where they come from; the work is the stages' own.
"""

import pathlib

from modelrefresh.contract import codec, result, stage_request
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.stages import extract, import_, merge
from modelrefresh_jobs.storage import run_folders, sealed, sources
from modelrefresh_jobs.weights import stored_residual

Summary = result.ExtractSummary | result.ImportSummary | result.MergeSummary


def write(
    request: stage_request.StageRequest, out: pathlib.Path, progress: Progress, *, trained: str | None
) -> Summary:
    """Do the stage's work into this folder; `trained` is what a merge adds the residual to.

    Raises:
        StageError: the folder exists, or what the stage itself raises.
    """
    if out.exists():
        raise StageError(StageReason.INPUT_INVALID, f"--out: {out} exists already; name a folder that does not")
    section = request.extract or request.import_ or request.merge
    parents = {name: str(value) for name, value in codec.to_document(section).items()}
    kind = stored_residual.KIND if request.extract else merge.KIND
    with sealed.draft(out.parent, kind=kind, label=out.name, parents=parents) as made:
        if asked := request.extract:
            base, instruct = (
                model_folder.accept(sources.resolve(uri, request)) for uri in (asked.base, asked.instruct)
            )
            return extract.store(base, instruct, made, progress=progress, target=out)
        if request.import_:
            stock = model_folder.accept(sources.resolve(request.import_.instruct, request))
            return import_.store(stock, made, progress=progress, target=out)
        return merge.store(_merge_sources(request, str(trained)), made, progress=progress, target=out)


def _merge_sources(request: stage_request.StageRequest, trained: str) -> merge.MergeSources:
    asked = request.merge
    assert asked is not None  # noqa: S101 -- the one section that is left
    workspace = run_folders.of(request).workspace
    return merge.MergeSources(
        start=sources.resolve(asked.start, request),
        trained=sources.resolve(trained, request),
        residual=sources.stored(
            asked.residual, request, below=workspace.residual, reason=StageReason.RESIDUAL_INCOMPATIBLE
        ),
        strategy=asked.strategy,
        scale=asked.scale,
    )
