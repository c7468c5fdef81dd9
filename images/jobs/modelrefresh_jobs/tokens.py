"""Texts as token sequences of one model's tokenizer.

A document is its tokens, after the begin token where the tokenizer has one and before the
end token. Special tokens spelled out in a text are read as plain characters, so that text
can not smuggle in control tokens. What a file may switch on (truncation, padding) is off. Refuses
tokenizers that are not fast or have no end token.
"""

import logging
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

from modelrefresh_jobs.failures import StageError

LOG = logging.getLogger("modelrefresh.jobs")
_BATCH = 512


class Tokens:
    """Turns documents into token sequences."""

    def __init__(self, model: pathlib.Path) -> None:
        tokenizer = load(model)
        if tokenizer.eos_token_id is None:
            message = f"{model}: the tokenizer has no end token; expected a fast tokenizer with an eos_token"
            raise StageError("ModelUnreadable", message)
        self._backend = tokenizer.backend_tokenizer
        self._backend.encode_special_tokens = True
        self.end: int = tokenizer.eos_token_id
        begin = tokenizer.bos_token_id
        self._head = [] if begin is None or begin == self.end else [begin]

    def encode(self, texts: Iterable[str]) -> Iterator[list[int]]:
        """Each text as one document, in order."""
        batch: list[str] = []
        for text in texts:
            batch.append(text)
            if len(batch) == _BATCH:
                yield from self._encoded(batch)
                batch = []
        yield from self._encoded(batch)

    def _encoded(self, batch: list[str]) -> Iterator[list[int]]:
        for encoding in self._backend.encode_batch_fast(batch, add_special_tokens=False):
            yield [*self._head, *encoding.ids, self.end]


def load(model: pathlib.Path) -> Any:  # noqa: ANN401 -- transformers' tokenizers are untyped
    """The library's tokenizer of a model folder, without what whoever saved it had switched on.

    Raises:
        StageError: there is none that can be used.
    """
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        # Neither library has a common class for what it says of a user's files.
        raise StageError("ModelUnreadable", f"{model}: no usable tokenizer: {error}") from error
    if not tokenizer.is_fast:
        raise StageError("ModelUnreadable", f"{model}: the tokenizer has no tokenizer.json; expected a fast tokenizer")
    _switch_off(tokenizer.backend_tokenizer, model)
    tokenizer.clean_up_tokenization_spaces = False  # texts are what was generated
    tokenizer.split_special_tokens = False  # of a chat template's text; documents have a rule of their own
    return tokenizer


def _switch_off(backend: Any, model: pathlib.Path) -> None:  # noqa: ANN401 -- tokenizers is untyped
    # Truncation loses text, padding adds tokens, and dropout gives other tokens every time.
    states = (("truncation", backend.truncation), ("padding", backend.padding))
    dropout = getattr(backend.model, "dropout", None)
    if found := [name for name, state in (*states, ("dropout", dropout)) if state]:
        LOG.warning("%s: its tokenizer was saved with %s, which is not applied here", model, " and ".join(found))
    backend.no_truncation()
    backend.no_padding()
    if dropout:
        backend.model.dropout = None
