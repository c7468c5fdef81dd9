"""What the costly stages of a run will need, proven by the first cheap one.

Asks the very functions that train, merge and evaluate will ask, so that what passes here and
fails there is a fault of this software or of the machine, never of what the user brought:
suites, start model, stored residual, and the models that will answer. A request of an older
operator names fewer of them; what it does not name is not looked at. Knows no documents.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.merge import MergeInput
from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method, Strategy
from modelrefresh_jobs.corpus import tokenization
from modelrefresh_jobs.evaluation import suites
from modelrefresh_jobs.evaluation.suites import Item, Suite
from modelrefresh_jobs.models import first_load, instruct_assets, library_errors, model_folder, prompts
from modelrefresh_jobs.models import tokenizer as tokenizers
from modelrefresh_jobs.models.model_folder import Model
from modelrefresh_jobs.process import errors
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sources, versions
from modelrefresh_jobs.storage.run_folders import RunFolders
from modelrefresh_jobs.weights import merge_inputs, merge_sources, stored_residual, trained_weights
from modelrefresh_jobs.weights.merge_sources import MergeSources
from modelrefresh_jobs.weights.stored_residual import Description


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What was proven and is used again."""

    suites: Mapping[str, Suite]
    start: Model
    residuals: tuple[pathlib.Path, ...] = ()
    """Stored residuals that will be added."""


def check(wanted: PrepareInput, folders: RunFolders, progress: Progress) -> Ready:
    """Prove all that costs seconds; warns of what a transferred residual differs in, and of questions asked twice.

    Raises:
        StageError: EvaluationUnreadable, ModelUnreadable, ResidualIncompatible or InvalidSpec.
    """
    loaded = suites.load_all(wanted.suites, folders)
    for name, again in suites.asked_again(wanted.suites, loaded).items():
        progress.warn(f"suite {name}: {again} of its questions are asked by spec.evaluation.suites too; take others")
    items = suites.choose(loaded, wanted.max_items)
    start = model_folder.accept(sources.resolve(wanted.base, folders))
    _check_start(start, wanted, progress)
    if found := _merge_sources(wanted, folders):
        check_answers(_candidate(wanted, found, start, progress), items, max_new_tokens=wanted.max_new_tokens)
    if wanted.incumbent:
        folder = versions.find(wanted.incumbent, folders)
        prompts.prove(folder)
        serves = prompts.load(folder)
        check_answers(serves, items, max_new_tokens=wanted.max_new_tokens)
    return Ready(
        suites=loaded,
        start=start,
        residuals=found.residuals if found else (),
    )


def check_bytes(ready: Ready) -> None:
    """Prove the rest of the stored residuals by hash, which takes as long as reading them.

    Raises:
        StageError: ResidualIncompatible.
    """
    for residual in ready.residuals:
        stored_residual.verify(residual)


def check_answers(
    prompt_format: prompts.PromptFormat, items: Mapping[str, Sequence[Item]], *, max_new_tokens: int | None
) -> None:
    """Prove that a model can read every question and has room for its answer.

    Raises:
        StageError: EvaluationUnreadable, ModelUnreadable or InvalidSpec.
    """
    for name, chosen in items.items():
        questions = [item.question for item in chosen]
        prompt_format.require_fit(f"suite {name}", questions, max_new_tokens=max_new_tokens or 0)


def _check_start(start: Model, wanted: PrepareInput, progress: Progress) -> None:
    settings = prompts.effective(start.folder, start.config)
    longest = settings.max_position_embeddings
    if longest < wanted.sequence_length:
        raise StageError(
            StageReason.INVALID_SPEC,
            f"spec.training.sequenceLength is {wanted.sequence_length}, but {wanted.base} knows {longest} positions; "
            f"expected at most {longest} (by hand --sequence-length).",
        )
    prompts.prove_generation(start.folder)
    _check_vocabulary(start, settings.vocab_size)
    with library_errors.reading(f"{start.folder}/config.json", expected="a model that can be built and trained"):
        built = _built(settings)
        _check_tensors(start, built)
        if wanted.train and wanted.train.method is Method.LORA:
            from modelrefresh_jobs.models import lora

            built = lora.attach(built, wanted.train)
    if wanted.train:
        _check_memory(built, wanted.train, progress, length=wanted.sequence_length)


def _check_memory(built: Any, wanted: TrainInput, progress: Progress, *, length: int) -> None:  # noqa: ANN401 -- as above
    from modelrefresh_jobs.memory import check as memory_check

    fit = memory_check.prove(built, wanted, length=length)
    if fit and (doubt := memory_check.doubts(fit)):
        progress.warn(doubt)


def _check_vocabulary(start: Model, size: int) -> None:
    first_load.prove(start.folder, lambda: tokenization.Tokens(start.folder).encode(prompts.HARD_PROBES))
    loaded = tokenizers.load(start.folder)
    special = {token for token, added in loaded.added_tokens_decoder.items() if added.special}
    used = (set(loaded.get_vocab().values()) - special) | {loaded.eos_token_id, loaded.bos_token_id} - {None}
    if odd := sorted(token for token in used if token >= size):
        message = f"{start.folder}: its tokenizer makes {len(odd)} tokens from {odd[0]} on; expected ids below {size}"
        raise StageError(
            StageReason.MODEL_UNREADABLE, f"{message} (vocab_size): tokenizer and weights are not one model's"
        )


def _built(settings: Any) -> Any:  # noqa: ANN401 -- transformers is untyped here
    import torch
    import transformers

    with torch.device("meta"):  # shapes without numbers
        return transformers.AutoModelForCausalLM.from_config(settings)


def _check_tensors(start: Model, built: Any) -> None:  # noqa: ANN401 -- transformers is untyped here
    # A loader fills what is missing with random numbers and passes over what is too much.
    from transformers import core_model_loading

    # On disk each expert is a tensor of its own, in memory those of a layer are one.
    written = core_model_loading.revert_weight_conversion(built, built.state_dict())
    shapes = {name: tuple(value.shape) for name, value in written.items()}
    if start.tied:
        shapes.pop(model_folder.HEAD, None)
    stored = {name: tuple(tensor.shape) for name, tensor in start.tensors.items()}
    if names := sorted(name for name in {*shapes, *stored} if shapes.get(name) != stored.get(name)):
        first = errors.few(f"{name}: stored {stored.get(name)}, config {shapes.get(name)}" for name in names)
        message = f"{start.folder}: {len(names)} tensors are not those that its config.json asks for: {first}"
        raise StageError(StageReason.MODEL_UNREADABLE, f"{message}; copy the whole checkpoint of one release")


def _merge_sources(wanted: PrepareInput, folders: RunFolders) -> MergeSources | None:
    if wanted.merge:
        return merge_sources.of(wanted.merge, folders)
    if not wanted.residual:
        return None
    return merge_sources.of(MergeInput(start=wanted.base, residual=wanted.residual), folders)


def _candidate(wanted: PrepareInput, found: MergeSources, start: Model, progress: Progress) -> prompts.PromptFormat:
    """How the model that merge will write is going to be asked."""
    for residual in found.residuals:
        stored_residual.verify(residual, below=(f"{instruct_assets.FOLDER}/", stored_residual.DESCRIPTION))
    description = stored_residual.read_description(found.residual)
    if wanted.merge is None and wanted.base_fingerprint == description.instruct_fingerprint:
        found = dataclasses.replace(found, strategy=Strategy.DIRECT)  # asked by an older operator
    merge_inputs.check_added(found, _bases(wanted, found, start, description))
    trained = trained_weights.Full(model=start)
    config = merge_inputs.gather(found, start, trained, description, progress).config
    prompts.prove(found.residual / instruct_assets.FOLDER, config)
    return prompts.load(found.residual / instruct_assets.FOLDER, config)


def _bases(wanted: PrepareInput, found: MergeSources, start: Model, description: Description) -> tuple[str, str]:
    """Fingerprints of the models that an added residual may have been cut from."""
    known = wanted.base_fingerprint or description.base_fingerprint
    if found.transferred and any(not one.transferred for one in found.added):
        known = model_folder.fingerprint(start.folder)  # of a base that no residual names
    return known, description.instruct_fingerprint
