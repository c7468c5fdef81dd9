"""Texts as token sequences of one model's tokenizer.

A document is its tokens, after the begin token where the tokenizer has one and before the
end token. Special tokens spelled out in a text are read as plain characters, so that text
can not smuggle in control tokens. Refuses tokenizers that are not fast or have no end token.
"""

import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

from modelrefresh_jobs import failures

_BATCH = 512


class Tokens:
    """Turns documents into token sequences."""

    def __init__(self, model: pathlib.Path) -> None:
        tokenizer = _load(model)
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


def _load(model: pathlib.Path) -> Any:  # noqa: ANN401 -- transformers' tokenizers are untyped
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise failures.StageError("ModelUnreadable", f"{model}: no usable tokenizer: {error}") from error
    if not tokenizer.is_fast or tokenizer.eos_token_id is None:
        seen = "has no end token" if tokenizer.is_fast else "has no tokenizer.json"
        raise failures.StageError(
            "ModelUnreadable", f"{model}: the tokenizer {seen}; expected a fast tokenizer with an eos_token"
        )
    return tokenizer
