"""The command `plan`: on how many GPUs a model can be trained, and how, from its config.json alone.

A table for 1, 8 and the fewest GPUs, or for the number given beside the fewest. No weights are read or fetched. Knows
words and columns; the arithmetic is that of `memory`.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from modelrefresh.contract import artifacts, defaults, forms, limits
from modelrefresh.contract.forms import Memory, Uri
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.by_hand import flags
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import sources
from modelrefresh_jobs.storage.run_folders import RunFolders

COMMAND = "plan"
TEXT = "say on how many GPUs a model can be trained, and how"
_GPUS = limits.Range(least=1, most=limits.NODES.most * limits.GPUS_PER_NODE.most)
_USUAL = (1, 8)
_HEAD = (
    *("GPUs", "fits", "zeroStage", "recompute", "offload", "batchSize", "weights", "gradients", "optimizer"),
    *("activations", "logits", "buffers", "peak"),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlanInput:
    """What is asked of a plan."""

    model: Uri
    """Model that is trained; of it config.json is read."""
    method: Method = defaults.METHOD
    """LoRA trains low-rank adapters, Full trains all weights."""
    gpus: Annotated[int, _GPUS] | None = None
    """Number of GPUs of all nodes; 1 and 8 if absent."""
    gpu_memory: Memory = "80GB"
    """Memory of each GPU."""
    sequence_length: Annotated[int, limits.SEQUENCE_LENGTH] = limits.SEQUENCE_LENGTH.whole
    """Tokens per block."""
    batch_size: Annotated[int, limits.BATCH_SIZE] = limits.BATCH_SIZE.whole
    """Sequences per GPU and step, which are split as memory demands."""
    lora_rank: Annotated[int, limits.LORA_RANK] = limits.LORA_RANK.whole
    """Rank of the adapters."""
    lora_embeddings: bool = defaults.LORA_EMBEDDINGS
    """Train embeddings and head in full beside the adapters."""


def run(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The plan as a document and as a text.

    Raises:
        StageError: as any stage says that a model's folder or its config.json cannot be used.
    """
    from modelrefresh_jobs.memory import shapes, ways
    from modelrefresh_jobs.models import model_config, model_folder

    asked = PlanInput(**flags.read(PlanInput, given))
    folders = RunFolders(workspace=artifacts.Workspace(root=pathlib.Path(given.workspace)), owner="", run="")
    folder = sources.resolve(asked.model, folders, weights=False)
    config = model_folder.read_json(folder / "config.json")
    _require_sizes(folder, config)
    model_config.check(folder, config)
    shape = shapes.planned(model_config.load(folder, config), _training(asked))
    size = {
        "card": forms.in_bytes(asked.gpu_memory),
        "sequences": asked.batch_size,
        "length": asked.sequence_length,
    }
    fewest = ways.fewest(shape, **size)
    wanted = [asked.gpus] if asked.gpus else list(_USUAL)
    numbers = sorted({*wanted, *([fewest] if fewest else [])})
    rows = [_row(ways.choose(shape, cards=cards, **size)) for cards in numbers]
    document = {"weights": shape.parameters, "trained": shape.trained, "fewest": fewest, "ways": rows}
    return document, "\n".join([*_summary(asked, document), *_table(rows)])


def _require_sizes(folder: pathlib.Path, config: Mapping[str, Any]) -> None:
    """What is absent counts as transformers' default elsewhere, where weights have the last word; here is none."""
    from modelrefresh_jobs.models import arithmetic

    if missing := [key for key in arithmetic.SHAPE if key not in config]:
        raise StageError(
            StageReason.MODEL_UNREADABLE,
            f"{folder / 'config.json'}: it lacks {', '.join(missing)}; expected all sizes of the model, which make "
            "the plan; take the config.json of the release",
        )


def _training(asked: PlanInput) -> TrainInput:
    return TrainInput(
        start=asked.model, method=asked.method, lora_rank=asked.lora_rank, lora_embeddings=asked.lora_embeddings
    )


def _row(fit: Any) -> dict[str, Any]:  # noqa: ANN401 -- its module imports torch
    setting = fit.setting
    return {
        "gpus": setting.cards,
        "fits": fit.fits,
        "zero_stage": setting.zero_stage,
        "recompute": setting.recompute,
        "offload": setting.offload,
        "batch_size": setting.batch_size,
        "gradient_accumulation": fit.accumulation,
        "bytes": {**fit.need.parts, "peak": fit.need.peak, "host": fit.need.host},
    }


def _summary(asked: PlanInput, document: dict[str, Any]) -> Iterable[str]:
    weights = f"{document['trained'] / 1e9:.2f} of {document['weights'] / 1e9:.2f} billion weights are trained"
    size = f"{asked.batch_size} sequences of {asked.sequence_length} tokens per GPU and step"
    yield f"{weights} ({asked.method}), by {size}."
    fewest, card = document["fewest"], f"of {asked.gpu_memory}"
    if fewest is None:
        yield f"No number of GPUs {card} is enough; the largest part is {next(iter(document['ways'][-1]['bytes']))}."
    else:
        yield f"Without offload it needs at least {fewest} {'GPU' if fewest == 1 else 'GPUs'} {card}. In GB per GPU:"
    yield ""


def _table(rows: Sequence[dict[str, Any]]) -> Iterable[str]:
    cells = [_HEAD, *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    for row in cells:
        yield "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from modelrefresh_jobs.memory import words

    offload = f"{words.size(row['bytes']['host'])} GB" if row["offload"] else "no"
    switches = ("yes" if row["fits"] else "no", str(row["zero_stage"]), "yes" if row["recompute"] else "no", offload)
    batches = f"{row['batch_size']} x {row['gradient_accumulation']}"
    return (str(row["gpus"]), *switches, batches, *(words.size(row["bytes"][name]) for name in _HEAD[6:]))
