"""Stage `import`: register the stock instruct model as a version, so that there is something to beat.

Copies the accepted files, and only those, into `versions/<digest>/`; hashes while it copies.
"""

import hashlib
import json
import pathlib

from modelrefresh.contract import artifacts
from modelrefresh.contract.stages.import_ import ImportInput, ImportSummary
from modelrefresh_jobs.models import instruct_assets, model_config, model_folder
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process import guarded_files
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import model_files, sealed, sources
from modelrefresh_jobs.storage.run_folders import RunFolders
from modelrefresh_jobs.tensors import safetensors_reader

KIND = "version"
_BLOCK = 4 << 20


def run(wanted: ImportInput, folders: RunFolders, progress: Progress) -> ImportSummary:
    """Copy the model into the workspace."""
    model = model_folder.accept(sources.resolve(wanted.instruct, folders))
    with sealed.draft(
        folders.versions,
        kind=KIND,
        label=f"{folders.label}.import",
        attempt=folders.attempt,
        parents={"instruct": wanted.instruct},
    ) as made:
        return store(model, made, progress=progress, target=folders.out)


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
