"""Generation of replies with lm-evaluation-harness: a model folder and questions in, replies out.

The engine is `HFLM.generate_until`: it orders, batches and pads. Three of its steps are
replaced: generation stops at the model's own stop tokens (all of them, in generation_config)
and never at strings that look like one, each reply says whether such a token ended it, and
what does not fit is an error instead of cut. Greedy. Knows nothing of suites and scores.
"""

import gc
import logging
import os
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelrefresh_jobs.models import library_errors, model_config, model_folder, prompts, thinking
from modelrefresh_jobs.process.progress import Progress

LOG = logging.getLogger("modelrefresh.jobs")
_BATCH = 64
"""Prompts at once, at first; halved whenever memory does not suffice."""
_BATCHES_PER_CALL = 4
"""Batches between two reports of progress."""
_STOPPED, _CUT = "\ue000", "\ue001"
"""Last character of what the engine returns: whether a stop token ended the reply. `_reply` removes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer, without its stop token."""

    text: str
    stopped: bool
    """Whether a stop token ended it, rather than the limit of new tokens."""
    thoughts: str = ""
    """What a model that thinks wrote before the answer; never scored."""


class Chat:
    """The loaded model of a folder, on the GPU if there is one.

    Raises:
        StageError: ModelUnreadable, when model, tokenizer or chat template cannot be loaded.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._prompt_format = prompts.load(folder)
        _release()
        self._lm = _load(self._prompt_format)

    def answer(self, questions: Sequence[str], *, max_new_tokens: int, progress: Progress) -> list[Reply]:
        """Greedy replies of at most `max_new_tokens` tokens, one per question, in order; `progress` counts them.

        Raises:
            StageError: EvaluationUnreadable, when a question leaves no room for its answer in the model's context.
            StageError: InvalidSpec, when answers alone fill the context.
            StageError: ModelUnreadable, when template or tokenizer fail on a question.
        """
        self._prompt_format.require_fit("the questions", questions, max_new_tokens=max_new_tokens)
        rendered = [self._prompt_format.render(question) for question in questions]
        replies: list[Reply] = []
        size = _BATCH * _BATCHES_PER_CALL
        for start in range(0, len(rendered), size):
            chunk = self._generate(rendered[start : start + size], max_new_tokens)
            replies += [_reply(*pair) for pair in zip(rendered[start : start + size], chunk, strict=True)]
            progress.report(progress.done + len(chunk), progress.total, unit="answers")
        return replies

    def _generate(self, rendered: list[str], max_new_tokens: int) -> list[str]:
        import torch
        from lm_eval.api.instance import Instance

        settings = {"until": [], "max_gen_toks": max_new_tokens, "do_sample": False}
        requests = [
            Instance(request_type="generate_until", doc={}, arguments=(prompt, settings), idx=index)
            for index, prompt in enumerate(rendered)
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


def _reply(prompt: str, generated: str) -> Reply:
    thoughts, answer = thinking.divide(prompt, generated[:-1])
    return Reply(text=answer, stopped=generated[-1] == _STOPPED, thoughts=thoughts)


def _release() -> None:
    """Give back what an earlier model held: engine and model refer to each other, so it may still lie there."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()


def _load(prompt_format: prompts.PromptFormat) -> Any:  # noqa: ANN401 -- lm-eval is untyped
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # It warns of each model that it did not load itself.
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    config = model_config.load(prompt_format.folder, model_folder.accept(prompt_format.folder).config)
    gpu = torch.cuda.is_available()
    with library_errors.reading(
        f"{prompt_format.folder}: cannot be loaded", expected="a checkpoint that transformers loads"
    ):
        model = transformers.AutoModelForCausalLM.from_pretrained(
            prompt_format.folder,
            config=config,
            dtype="auto" if gpu else torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    # `generate` fills what a request leaves open from here: of the model's own settings only the stop tokens count.
    model.generation_config = _greedy(prompt_format)
    return _engine(model.to("cuda" if gpu else "cpu").eval(), prompt_format)


def _engine(model: Any, prompt_format: prompts.PromptFormat) -> Any:  # noqa: ANN401 -- lm-eval is untyped
    import torch
    from lm_eval.models.huggingface import HFLM

    class Engine(HFLM):  # type: ignore[misc]
        """HFLM that stops at the model's stop tokens only, and cuts no prompt."""

        def _model_generate(self, context: Any, max_length: int, stop: list[str], **settings: Any) -> Any:  # noqa: ANN401, ARG002
            with torch.inference_mode():
                return self.model.generate(
                    input_ids=context,
                    attention_mask=settings["attention_mask"],
                    max_length=max_length,
                    generation_config=self.model.generation_config,
                )

        def tok_batch_encode(self, strings: list[str], *_: Any, left_truncate_len: int, **_settings: Any) -> Any:  # noqa: ANN401
            encoded = super().tok_batch_encode(strings)
            if encoded[0].size(1) > left_truncate_len:
                raise RuntimeError(
                    f"{prompt_format.folder}: lm-eval counts more tokens than its questions were said to have"
                )
            return encoded

        def tok_decode(self, tokens: Any, skip_special_tokens: bool = True) -> str:  # noqa: ANN401, FBT001, FBT002
            if not isinstance(tokens, list):
                # The stop token as text, at which lm-eval would cut: a reply may spell it with ordinary tokens.
                return ""
            end = next((index for index, token in enumerate(tokens) if token in prompt_format.stops), None)
            return str(super().tok_decode(tokens[:end], skip_special_tokens)) + (_CUT if end is None else _STOPPED)

    return Engine(
        pretrained=model,
        tokenizer=prompt_format.tokenizer,
        backend="causal",
        batch_size=_BATCH,
        max_length=prompt_format.context,
        add_bos_token=False,
    )


def _greedy(prompt_format: prompts.PromptFormat) -> Any:  # noqa: ANN401 -- transformers is untyped here
    import transformers

    return transformers.GenerationConfig(
        do_sample=False,
        num_beams=1,
        eos_token_id=sorted(prompt_format.stops),
        pad_token_id=prompt_format.padding,
        use_cache=True,
    )
