"""Stage `import`: register what serves before the first candidate as a version, so that there is something to beat.

That is the stock instruct model, whose accepted files, and only those, are copied into `versions/<digest>/` and hashed
on the way; or, asked so, an untrained base with a residual of its family added.
"""

import hashlib
import json
import pathlib

from modelrefresh.contract import artifacts
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.import_ import ImportInput, ImportSummary
from modelrefresh.contract.stages.merge import MergeInput
from modelrefresh_jobs.models import instruct_assets, model_config, model_folder
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process import guarded_files
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import model_files, sealed, sources
from modelrefresh_jobs.storage.run_folders import RunFolders
from modelrefresh_jobs.tensors import safetensors_reader
from modelrefresh_jobs.weights import candidate, merge_sources

_BLOCK = 4 << 20


def run(wanted: ImportInput, folders: RunFolders, progress: Progress) -> ImportSummary:
    """Copy the model into the workspace, or write the one that base and residual give."""
    if wanted.transferred:
        return _transfer(wanted.transferred, folders, progress)
    if wanted.instruct is None:
        raise StageError(StageReason.INPUT_INVALID, "import: neither an instruct model nor a sum to register is named")
    model = model_folder.accept(sources.resolve(wanted.instruct, folders))
    with sealed.draft(
        folders.versions,
        kind=candidate.KIND,
        label=f"{folders.label}.import",
        attempt=folders.attempt,
        parents={"instruct": wanted.instruct},
    ) as made:
        return store(model, made, progress=progress, target=folders.out)


def _transfer(wanted: MergeInput, folders: RunFolders, progress: Progress) -> ImportSummary:
    found = merge_sources.of(wanted, folders)
    parents = {"start": wanted.start, "residual": wanted.residual}
    label = f"{folders.label}.import"
    with sealed.draft(
        folders.versions, kind=candidate.KIND, label=label, attempt=folders.attempt, parents=parents
    ) as made:
        merged = candidate.store(found, made, progress=progress, target=folders.out)
    architecture = model_folder.accept(found.start).architecture
    return ImportSummary(
        digest=merged.digest, architecture=architecture, parameters=merged.parameters, bytes=merged.bytes
    )


def artifact(folders: RunFolders, summary: ImportSummary) -> pathlib.Path:
    """The registered version."""
    return folders.out or folders.workspace.version(summary.digest)


def store(model: Model, made: sealed.Draft, *, progress: Progress, target: pathlib.Path | None = None) -> ImportSummary:
    """Copy and seal an accepted model, as `target` or under its digest."""
    instruct_assets.check(model.folder)
    instruct_assets.copy(model.folder, made.path)
    instruct_assets.write_configuration(made.path, model_config.written(model.config))
    found = model_files.weights(model.folder)
    total = sum(file.stat().st_size for file in found.files)
    done = 0
    for file in found.files:
        made.known[file.name] = _copy(file, made.path / file.name)
        done += file.stat().st_size
        progress.report(done, total, unit="bytes")
    if found.index:
        (made.path / found.index.name).write_bytes(guarded_files.read(found.index, limit=model_files.INDEX_LIMIT))
    safetensors_reader.open_folder(made.path)  # the copy must be as whole as the original
    provenance = json.dumps({"stage": "import", "parents": dict(made.parents)}, indent=1, sort_keys=True)
    (made.path / artifacts.PROVENANCE).write_text(provenance + "\n")
    return ImportSummary(
        digest=sealed.seal(made, target=target).digest,
        architecture=model.architecture,
        parameters=model.parameters,
        bytes=total,
    )


def _copy(source: pathlib.Path, target: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with guarded_files.opened(source) as reading, target.open("wb") as writing:
        while data := reading.read(_BLOCK):
            digest.update(data)
            writing.write(data)
    return digest.hexdigest()
