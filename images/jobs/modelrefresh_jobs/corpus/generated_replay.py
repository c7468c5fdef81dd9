"""Replay that the model writes itself, where nobody has a corpus of what it knew.

Documents are sampled at temperature 1 from the token that begins a document, as data-free quantisation does
(LLM-QAT, arXiv 2305.17888): what a model says unasked is what it was pretrained on, in its own words. Equal seed,
model and machine give equal documents. Knows nothing of budgets and shares.
"""

import logging
import pathlib
from collections.abc import Iterator
from typing import Any

from modelrefresh_jobs.models import model_config, model_folder, tokenizer

LOG = logging.getLogger("modelrefresh.jobs")
_BATCH = 32
_AT_ONCE = _BATCH * 2048
"""Tokens of all documents of a batch: what the model remembers of them grows with their length."""
_SHORTEST = 16
"""Tokens of a document at least; a shorter one teaches nothing."""


def documents(folder: pathlib.Path, *, length: int, seed: int) -> Iterator[list[int]]:
    """Documents without end, each with its begin token where the tokenizer has one, and its end token if it came.

    Fewer are written at once where they are long, and where the GPU's memory does not suffice.
    """
    import torch

    known, model = tokenizer.load(folder), _load(folder)
    end = known.eos_token_id
    begin = end if known.bos_token_id is None else known.bos_token_id
    head = [] if begin == end else [begin]
    control = [number for number, token in known.added_tokens_decoder.items() if token.special and number != end]
    settings = {
        "do_sample": True,
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "min_new_tokens": min(_SHORTEST, length - 1),
        "max_new_tokens": length - 1,
        "eos_token_id": end,
        "pad_token_id": end,
        "suppress_tokens": control or None,
    }
    size = min(_BATCH, max(1, _AT_ONCE // length))
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(seed)
        while True:
            prompts = torch.full((size, 1), begin, device=model.device)
            try:
                written = model.generate(prompts, attention_mask=torch.ones_like(prompts), **settings)
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                size //= 2
                LOG.warning("prepare: memory did not suffice, the model writes %d documents at once from now on", size)
                torch.cuda.empty_cache()
                continue
            for row in written[:, 1:].tolist():
                yield head + (row[: row.index(end) + 1] if end in row else row)


def has_gpu() -> bool:
    """Whether the model would write on a GPU."""
    import torch

    return torch.cuda.is_available()


def _load(folder: pathlib.Path) -> Any:  # noqa: ANN401 -- transformers' models are untyped here
    import torch
    import transformers

    gpu = torch.cuda.is_available()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder,
        config=model_config.load(folder, model_folder.accept(folder).config),
        dtype=torch.bfloat16 if gpu else torch.float32,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    # What a checkpoint's generation_config asks for is no part of the model's own distribution.
    model.generation_config = transformers.GenerationConfig()
    return model.eval().to("cuda" if gpu else "cpu")
