"""lm-evaluation-harness, behind one file: a model folder and questions in, replies out.

The engine is `HFLM.generate_until`: it orders, batches and pads. Two of its steps are
replaced: generation stops at the model's own stop tokens (all of them, in generation_config)
instead of at decoded strings, and each reply says whether such a token ended it. Greedy, with
the model's own chat template. Knows nothing of suites and scores.
"""

import logging
import os
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelrefresh_jobs import failures, intake, model_config
from modelrefresh_jobs import tokenizer as tokenizers
from modelrefresh_jobs.progress import Progress

LOG = logging.getLogger("modelrefresh.jobs")
_BATCH = 64
_BATCHES_PER_CALL = 4
_STOPPED, _CUT = "\ue000", "\ue001"
"""Last character of what the engine returns: whether a stop token ended the reply. Taken off before anyone sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer."""

    text: str
    stopped: bool
    """Whether the model ended it itself, within the limit."""


class Chat:
    """One model, ready to answer."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._lm = _load(folder)

    def answer(self, questions: Sequence[str], *, max_new_tokens: int, progress: Progress) -> list[Reply]:
        """Greedy replies in the order of the questions; `progress` moves on by their number."""
        prompts = [self._lm.apply_chat_template([{"role": "user", "content": question}]) for question in questions]
        replies: list[Reply] = []
        size = _BATCH * _BATCHES_PER_CALL
        for start in range(0, len(prompts), size):
            chunk = self._generate(prompts[start : start + size], max_new_tokens)
            replies += [Reply(text=text[:-1], stopped=text[-1] == _STOPPED) for text in chunk]
            progress.report(progress.done + len(chunk), progress.total, unit="answers")
        return replies

    def _generate(self, prompts: list[str], max_new_tokens: int) -> list[str]:
        import torch
        from lm_eval.api.instance import Instance

        settings = {"until": [], "max_gen_toks": max_new_tokens, "do_sample": False}
        requests = [
            Instance(request_type="generate_until", doc={}, arguments=(prompt, settings), idx=index)
            for index, prompt in enumerate(prompts)
        ]
        while True:
            try:
                return list(self._lm.generate_until(requests, disable_tqdm=True))
            except torch.OutOfMemoryError:
                if self._lm.batch_size_per_gpu == 1:
                    raise
                self._lm.batch_size_per_gpu //= 2
                torch.cuda.empty_cache()
                LOG.warning("evaluate: memory did not suffice, batches of %d from now on", self._lm.batch_size_per_gpu)


def _load(folder: pathlib.Path) -> Any:  # noqa: ANN401 -- lm-eval is untyped
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    config = model_config.load(folder, intake.accept(folder).config)
    gpu = torch.cuda.is_available()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder,
        config=config,
        dtype="auto" if gpu else torch.float32,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    tokenizer = tokenizers.load(folder)
    if not tokenizer.chat_template:
        raise failures.StageError(
            "ModelUnreadable", f"{folder}: the tokenizer has no chat template; expected the instruct model's"
        )
    return _engine(model.to("cuda" if gpu else "cpu").eval(), tokenizer)


def _engine(model: Any, tokenizer: Any) -> Any:  # noqa: ANN401 -- lm-eval is untyped
    import torch
    from lm_eval.models.huggingface import HFLM

    configured = model.generation_config.eos_token_id
    ends = configured if isinstance(configured, list) else [configured]
    stops = frozenset(end for end in (*ends, tokenizer.eos_token_id) if end is not None)
    # generate() fills whatever ours leaves open from the model's own: penalties, forbidden tokens, a shortest length.
    model.generation_config = _greedy(stops, tokenizer.pad_token_id)

    class Engine(HFLM):  # type: ignore[misc]
        """HFLM that stops where the model says so."""

        def _model_generate(self, context: Any, max_length: int, stop: list[str], **settings: Any) -> Any:  # noqa: ANN401, ARG002
            with torch.inference_mode():
                return self.model.generate(
                    input_ids=context,
                    attention_mask=settings["attention_mask"],
                    max_length=max_length,
                    generation_config=_greedy(stops, tokenizer.pad_token_id),
                )

        def tok_decode(self, tokens: Any, skip_special_tokens: bool = True) -> str:  # noqa: ANN401, FBT001, FBT002
            if not isinstance(tokens, list):
                return str(super().tok_decode(tokens, skip_special_tokens))
            end = next((index for index, token in enumerate(tokens) if token in stops), None)
            return str(super().tok_decode(tokens[:end], skip_special_tokens)) + (_CUT if end is None else _STOPPED)

    return Engine(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=_BATCH, add_bos_token=False)


def _greedy(stops: frozenset[int], padding: int) -> Any:  # noqa: ANN401 -- transformers is untyped here
    import transformers

    return transformers.GenerationConfig(
        do_sample=False, num_beams=1, eos_token_id=sorted(stops), pad_token_id=padding, use_cache=True
    )
