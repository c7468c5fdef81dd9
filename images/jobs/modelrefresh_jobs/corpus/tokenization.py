"""Texts as token sequences of one model's tokenizer.

A document is its tokens, after the begin token where the tokenizer has one and before the
end token. Special tokens spelled out in a text are read as plain characters, so that text
can not smuggle in control tokens. Refuses tokenizers that are not fast or have no end token.
"""

import pathlib
from collections.abc import Iterable, Iterator

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import library_errors, tokenizer
from modelrefresh_jobs.process import errors

_BATCH, _BATCH_CHARACTERS = 512, 1 << 23
"""Texts that are tokenised at once; a tokenizer holds many times their size."""


class Tokens:
    """Turns documents into token sequences."""

    def __init__(self, model: pathlib.Path) -> None:
        self._model, loaded = model, tokenizer.load(model)
        if loaded.eos_token_id is None:
            message = f"{model}: the tokenizer has no end token; expected a fast tokenizer with an eos_token"
            raise errors.StageError(StageReason.MODEL_UNREADABLE, message)
        self._backend = loaded.backend_tokenizer
        self._backend.encode_special_tokens = True
        self.end: int = loaded.eos_token_id
        begin = loaded.bos_token_id
        self._head = [] if begin is None or begin == self.end else [begin]

    def encode(self, texts: Iterable[str]) -> Iterator[list[int]]:
        """Each text as one document, in order."""
        batch: list[str] = []
        characters = 0
        for text in texts:
            batch.append(text)
            characters += len(text)
            if len(batch) == _BATCH or characters >= _BATCH_CHARACTERS:
                yield from self._encoded(batch)
                batch, characters = [], 0
        yield from self._encoded(batch)

    def _encoded(self, batch: list[str]) -> Iterator[list[int]]:
        with library_errors.reading(f"{self._model}: its tokenizer fails on a text", expected="token sequences"):
            encodings = self._backend.encode_batch_fast(batch, add_special_tokens=False)
        for encoding in encodings:
            yield [*self._head, *encoding.ids, self.end]
