"""Stage `extract`: cut the instruction residual of a base and its instruct model.

One pass reads both, fingerprints both and writes `residuals/<digest>/`: the residual's shards,
what the instruct model gives beside weights and a description that says from which base it was cut.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence

from modelrefresh.contract import codec
from modelrefresh.contract.stages.extract import ExtractInput, ExtractSummary
from modelrefresh_jobs.models import instruct_assets, model_card, model_folder, prompts
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import model_files, sealed, sources
from modelrefresh_jobs.storage.run_folders import RunFolders
from modelrefresh_jobs.tensors import safetensors_writer
from modelrefresh_jobs.tensors.safetensors_writer import Planned
from modelrefresh_jobs.weights import compatibility, extract_pass, lineage, residuals_package, stored_residual
from modelrefresh_jobs.weights.extract_pass import Cut
from modelrefresh_jobs.weights.residual_math import Forms
from modelrefresh_jobs.weights.stored_residual import Description, Encoding, Formats


def run(wanted: ExtractInput, folders: RunFolders, progress: Progress) -> ExtractSummary:
    """Store the residual of the pair on the workspace."""
    base, instruct = (model_folder.accept(sources.resolve(uri, folders)) for uri in (wanted.base, wanted.instruct))
    with sealed.draft(
        folders.residuals,
        kind=stored_residual.KIND,
        label=folders.label,
        attempt=folders.attempt,
        parents={"base": wanted.base, "instruct": wanted.instruct},
    ) as made:
        return store(base, instruct, made, progress=progress, target=folders.out)


def artifact(folders: RunFolders, summary: ExtractSummary) -> pathlib.Path:
    """The stored residual."""
    return folders.out or folders.workspace.residual(summary.digest)


def store(
    base: Model, instruct: Model, made: sealed.Draft, *, progress: Progress, target: pathlib.Path | None = None
) -> ExtractSummary:
    """Write and seal the residual of an accepted pair, as `target` or under its digest."""
    for model in (base, instruct):  # or its tokenizer would be blamed, which is loaded by the same file
        prompts.effective(model.folder, model.config)
    compatibility.check_pair(base, instruct)
    lineage.check_roles(base, instruct, progress)
    instruct_assets.check(instruct.folder)
    instruct_assets.copy(instruct.folder, made.path / instruct_assets.FOLDER)
    instruct_assets.write_configuration(made.path / instruct_assets.FOLDER, instruct.config)
    instruct_assets.copy(instruct.folder, made.path)
    padded = base.with_rows(instruct.rows)
    forms = {name: Forms(start=one.form, other=instruct.tensors[name].form) for name, one in base.tensors.items()}
    planned = [
        Planned(name=name, dtype=one.stored.name, shape=padded.tensors[name].shape) for name, one in forms.items()
    ]
    cut, layout = extract_pass.write(padded, instruct, planned, made, progress=progress)
    lineage.check_residual(cut.norms, base, instruct, alike=cut.alike)
    lineage.check_kinship(cut.cosines, base, instruct, progress)
    description = _describe(cut, base)
    (made.path / stored_residual.DESCRIPTION).write_text(
        json.dumps(codec.to_document(description), indent=1, sort_keys=True) + "\n"
    )
    _write_card(cut, planned, description, made)
    return ExtractSummary(
        digest=sealed.seal(made, target=target).digest,
        base_fingerprint=description.base_fingerprint,
        instruct_fingerprint=description.instruct_fingerprint,
        architecture=description.architecture,
        parameters=base.parameters,
        bytes=safetensors_writer.total(layout) + cut.exception_bytes,
        relative_norm=cut.norms.relative_residual,
    )


def _describe(cut: Cut, base: Model) -> Description:
    hashes = cut.base_hashes | {
        name: model_folder.content(one) for name, one in base.tensors.items() if one is not cut.base.tensors[name]
    }
    return Description(
        architecture=base.architecture,
        base_fingerprint=model_folder.combine(hashes, base),
        instruct_fingerprint=model_folder.combine(cut.instruct_hashes, cut.instruct),
        encoding=Encoding.DIFFERENCE,
        base_rows=base.rows if base.rows != cut.instruct.rows else None,
        mixed=_mixed({name: cut.forms(name) for name in base.tensors}),
    )


def _write_card(cut: Cut, planned: Sequence[Planned], description: Description, made: sealed.Draft) -> None:
    """What people and other programs read of the residual."""
    facts = {
        "architecture": description.architecture,
        "weights": cut.base.parameters,
        "formats": ", ".join(sorted({one.dtype for one in planned})),
        **({"rows of the base's embedding": description.base_rows} if description.base_rows else {}),
        "exceptions": cut.exceptions,
        "relative norm": f"{cut.norms.relative_residual:.6g}",
        "fingerprint of the base": description.base_fingerprint,
        "fingerprint of the instruct model": description.instruct_fingerprint,
    }
    names = {role: model_card.hub_name(uri) for role, uri in made.parents.items()}
    licences = {
        "base": model_card.licence_of(cut.base.folder),
        "instruct": model_card.licence_of(cut.instruct.folder),
    }
    (made.path / model_files.CARD).write_text(model_card.of_residual(names, licences, facts))
    config = residuals_package.config(planned, names=names, licence=model_card.common(licences.values()))
    (made.path / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def _mixed(forms: Mapping[str, Forms]) -> dict[str, Formats] | None:
    return {
        name: Formats(base=one.start.name, instruct=one.other.name)
        for name, one in forms.items()
        if one.start is not one.other
    } or None
