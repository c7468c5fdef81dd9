"""Tokenization of documents with one model's tokenizer.

A document is its tokens, after the begin token where the tokenizer has one and before the
end token. Special tokens spelled out in a text are read as plain characters, so that text
cannot inject control tokens. Refuses tokenizers that are not fast or have no end token.
"""

import pathlib
from collections.abc import Iterable, Iterator

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import library_errors, tokenizer
from modelrefresh_jobs.process import errors

_BATCH, _BATCH_CHARACTERS = 512, 1 << 23
"""Most texts, and characters from which no more are added, at once; a tokenizer takes many times their size."""


class Tokens:
    """Turns documents into token sequences.

    Raises:
        StageError: ModelUnreadable, when the tokenizer of the folder `model` cannot be loaded or has no end token.
    """

    def __init__(self, model: pathlib.Path) -> None:
        self._model, loaded = model, tokenizer.load(model)
        if loaded.eos_token_id is None:
            message = f"{model}: the tokenizer has no end token; expected a fast tokenizer with an eos_token"
            raise errors.StageError(StageReason.MODEL_UNREADABLE, message)
        self._backend = loaded.backend_tokenizer
        self._backend.encode_special_tokens = True
        self.end: int = loaded.eos_token_id
        """Id of the end token."""
        begin = loaded.bos_token_id
        self._head = [] if begin is None or begin == self.end else [begin]

    def encode(self, texts: Iterable[str]) -> Iterator[list[int]]:
        """Token ids of each text as one document, in order.

        Raises:
            StageError: ModelUnreadable, when the tokenizer fails on a text.
        """
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
