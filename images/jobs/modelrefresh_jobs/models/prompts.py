"""Prompt format of a model: its chat template, stop tokens, padding and context, from its folder's small files.

`prepare` proves with it what `evaluate` will do, and `evaluate` asks with it: one rule for
both. A question that does not fit is refused with numbers, never cut. Knows no weights.
"""

import contextlib
import copy
import pathlib
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import first_load, library_errors, model_folder, thinking, tokenizer
from modelrefresh_jobs.process import errors
from modelrefresh_jobs.process.errors import StageError

_BY_HAND = " (by hand --max-new-tokens)"
_GENERATION = "generation_config.json"
_PROBE = "Which river flows through the town"
"""Must occur in the rendered text, so it has no character that a template may escape."""
HARD_PROBES = (_PROBE, "{{ 7 * 7 }} <|im_end|> \U0001f600 e\u0301", "a" * 4096, "a " * 4096, "1" * 4096)
"""Texts on which costly templates and patterns of tokenizers are slow."""
_BATCH = 256
"""Questions tokenised at once."""
_RENDER_SECONDS = 10.0
"""Processor time for one question; templates of real models take milliseconds."""
_RENDERED = 1 << 20
"""Most characters that a template may add to a question; system prompts have some thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFormat:
    """How one model's questions are rendered and tokenised, and where its answers end."""

    folder: pathlib.Path
    tokenizer: Any
    context: int
    """Most tokens of question and answer together."""
    vocabulary: int
    """Number of token ids, which are `[0, vocabulary)`."""
    stops: frozenset[int]
    """Ids of the tokens that end an answer."""
    padding: int
    """Id of the token that fills a batch."""

    def render(self, question: str) -> str:
        """One user message in the model's own chat template, ready to be answered without thinking where it can be.

        Raises:
            StageError: ModelUnreadable, when the template fails, takes too long or adds too much.
        """
        what = f"{self.folder}: its chat template cannot render a user message of {len(question)} characters"
        with library_errors.reading(what, expected="a template that takes a user message without a system message"):
            message = [{"role": "user", "content": question}]
            settings = {"tokenize": False, "add_generation_prompt": True, **thinking.SWITCH}
            with _within(_RENDER_SECONDS, self.folder):
                text = str(self.tokenizer.apply_chat_template(message, **settings))
        if len(text) > len(question) + _RENDERED:
            seen = f"its chat template makes {len(text)} characters of {len(question)}"
            raise StageError(StageReason.MODEL_UNREADABLE, f"{self.folder}: {seen}; expected at most {_RENDERED} more")
        return text

    def lengths(self, questions: Sequence[str]) -> list[int]:
        """Number of tokens of each question as it is rendered, in order.

        Raises:
            StageError: ModelUnreadable, when one cannot be rendered, or not be tokenised with ids of the vocabulary.
        """
        found: list[int] = []
        for start in range(0, len(questions), _BATCH):
            found += [
                len(ids) for ids in self._encoded([self.render(one) for one in questions[start : start + _BATCH]])
            ]
        return found

    def require_fit(self, subject: str, questions: Sequence[str], *, max_new_tokens: int) -> None:
        """Refuse questions that leave no room for an answer of this many tokens; messages name `subject`.

        Raises:
            StageError: EvaluationUnreadable, when a question does not fit.
            StageError: InvalidSpec, when answers alone fill the context.
            StageError: ModelUnreadable, as `lengths` raises it.
        """
        room = self.context - max_new_tokens
        limits = f"{self.folder} reads {self.context} tokens and spec.evaluation.maxNewTokens keeps {max_new_tokens}"
        if room < 1:
            raise StageError(
                StageReason.INVALID_SPEC, f"{limits}: no question of {subject} fits; lower maxNewTokens{_BY_HAND}"
            )
        lengths = self.lengths(questions)
        if over := [length for length in lengths if length > room]:
            message = (
                f"{subject}: {len(over)} of {len(lengths)} questions do not fit: with the chat template the longest "
                f"has {max(over)} tokens, expected at most {room} ({limits}). Shorten or remove them, or lower "
                f"maxNewTokens{_BY_HAND}; a question is never cut"
            )
            raise StageError(StageReason.EVALUATION_UNREADABLE, message)

    def _encoded(self, prompts: list[str]) -> list[list[int]]:
        with library_errors.reading(f"{self.folder}: its tokenizer fails on a question", expected="token sequences"):
            encoded: list[list[int]] = self.tokenizer(prompts, add_special_tokens=False)["input_ids"]
        highest = max((max(ids, default=-1) for ids in encoded), default=-1)
        if not all(encoded) or highest >= self.vocabulary:
            seen = f"token {highest}" if all(encoded) else "no token at all"
            message = f"{self.folder}: its tokenizer makes {seen} of a question; expected ids below {self.vocabulary}"
            raise StageError(
                StageReason.MODEL_UNREADABLE, f"{message} (vocab_size): tokenizer and weights are not one model's"
            )
        return encoded


def prove(folder: pathlib.Path, config: Mapping[str, object] | None = None) -> None:
    """Load the format and tokenise `HARD_PROBES` by it, in a process with limits of time and memory.

    Raises:
        StageError: ModelUnreadable, when that fails or exceeds the limits.
    """
    import transformers  # noqa: F401 -- the child need not import it again

    first_load.prove(folder, lambda: load(folder, config).lengths(HARD_PROBES))


def load(folder: pathlib.Path, config: Mapping[str, object] | None = None) -> PromptFormat:
    """The prompt format of a model folder, tried on one user message.

    `config` stands for the folder's own config.json where the model is yet to be written.

    Raises:
        StageError: ModelUnreadable, when a file is damaged, or template or stop tokens are missing or unusable.
    """
    settings = effective(folder, config if config is not None else model_folder.read_json(folder / "config.json"))
    prove_generation(folder)
    loaded = tokenizer.load(folder)
    if not loaded.chat_template:
        message = f"{folder}: the tokenizer has no chat template; expected the instruct model's"
        raise StageError(StageReason.MODEL_UNREADABLE, message)
    stops = _stops(folder, settings, loaded)
    padding = loaded.pad_token_id
    if padding is None:
        padding = loaded.eos_token_id if loaded.eos_token_id is not None else min(stops)
        with library_errors.reading(f"{folder}: stop token {padding} cannot pad", expected="a token of the tokenizer"):
            loaded.pad_token = loaded.convert_ids_to_tokens(padding)
    if odd := sorted(token for token in {*stops, padding} if not 0 <= token < settings.vocab_size):
        message = f"{folder}: stop or padding tokens {odd}; expected ids below {settings.vocab_size} (vocab_size)"
        raise StageError(StageReason.MODEL_UNREADABLE, message)
    prompt_format = PromptFormat(
        folder=folder,
        tokenizer=loaded,
        context=settings.max_position_embeddings,
        vocabulary=settings.vocab_size,
        stops=stops,
        padding=padding,
    )
    if _PROBE not in prompt_format.render(_PROBE):
        message = f"{folder}: its chat template leaves the user's message out; expected it in what is rendered"
        raise StageError(StageReason.MODEL_UNREADABLE, message)
    prompt_format.lengths([_PROBE])
    return prompt_format


def effective(folder: pathlib.Path, config: Mapping[str, object]) -> Any:  # noqa: ANN401 -- transformers' configurations are untyped
    """A configuration with the defaults that transformers fills in.

    Raises:
        StageError: ModelUnreadable, when transformers refuses it.
    """
    import transformers

    with library_errors.reading(f"{folder}/config.json", expected="a configuration that transformers accepts"):
        settings = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(copy.deepcopy(dict(config)))
    for key in ("max_position_embeddings", "vocab_size"):
        value = getattr(settings, key, None)
        if not isinstance(value, int) or value < 1:
            message = f"{folder}/config.json: {key} is {errors.shown(value)}; expected a whole number above 0"
            raise StageError(StageReason.MODEL_UNREADABLE, message)
    return settings


def prove_generation(folder: pathlib.Path) -> None:
    """Read generation_config.json and write it elsewhere, as loading a model and saving it do.

    Raises:
        StageError: ModelUnreadable, when transformers refuses it.
    """
    import transformers

    if (folder / _GENERATION).exists():
        model_folder.read_json(folder / _GENERATION)
        with library_errors.reading(f"{folder}/{_GENERATION}", expected="settings that transformers accepts"):
            settings = transformers.GenerationConfig.from_pretrained(folder, local_files_only=True)
            with tempfile.TemporaryDirectory() as elsewhere:
                settings.save_pretrained(elsewhere)


@contextlib.contextmanager
def _within(seconds: float, folder: pathlib.Path) -> Iterator[None]:
    """Interrupt Python code that takes more processor time; only the main thread can be interrupted."""

    def stop(*_: object) -> None:
        message = f"{folder}: its chat template did not finish within {seconds:.0f} s on one question"
        raise StageError(StageReason.MODEL_UNREADABLE, f"{message}; expected one that ends at once")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _stops(folder: pathlib.Path, settings: Any, loaded: Any) -> frozenset[int]:  # noqa: ANN401 -- transformers is untyped
    declared: object = settings.eos_token_id
    where = "config.json"
    if (folder / _GENERATION).exists():
        declared, where = model_folder.read_json(folder / _GENERATION).get("eos_token_id"), _GENERATION
    ends = declared if isinstance(declared, list) else [] if declared is None else [declared]
    if odd := [end for end in ends if not isinstance(end, int) or isinstance(end, bool)]:
        message = f"{folder}/{where}: eos_token_id holds {errors.shown(odd)}; expected token ids"
        raise StageError(StageReason.MODEL_UNREADABLE, message)
    stops = frozenset(end for end in (*ends, loaded.eos_token_id) if end is not None)
    if not stops:
        message = (
            f"{folder}: no stop token, its answers would never end; expected eos_token_id in {_GENERATION} or an "
            "eos_token of the tokenizer. Add it to the instruct model and extract its residual again"
        )
        raise StageError(StageReason.MODEL_UNREADABLE, message)
    return stops
