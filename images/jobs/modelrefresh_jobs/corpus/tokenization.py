"""Tokenization of documents with one model's tokenizer.

A document is its tokens, after the begin token where the tokenizer has one and before the end token. Special tokens
spelled out in a text are read as plain characters, so that text cannot inject control tokens. `fastokens` does the work
where it gives the tokens of `tokenizers` on difficult texts and on a sample of the data, `tokenizers` itself elsewhere.
Refuses tokenizers that are not fast or have no end token.
"""

import json
import logging
import os
import pathlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.corpus import difficult_texts
from modelrefresh_jobs.models import library_errors, tokenizer
from modelrefresh_jobs.process import cores, errors

LOG = logging.getLogger("modelrefresh.jobs")
Array = np.ndarray[Any, Any]
_SAMPLE = 1 << 18
"""Characters of the data that both engines are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Documents as tokens, one after the other."""

    ids: Array
    """`[tokens]`, int32."""
    sizes: Array
    """Tokens of each document, `[documents]`, int64."""


class Tokens:
    """Turns documents into token sequences.

    `sample` are some texts of the data, of which no more are taken than are needed.

    Raises:
        StageError: ModelUnreadable, when the tokenizer of the folder `model` cannot be loaded, has no end token, or
            fails on the sample.
    """

    def __init__(self, model: pathlib.Path, *, sample: Iterable[str] = ()) -> None:
        self._model, loaded = model, tokenizer.load(model)
        if loaded.eos_token_id is None:
            message = f"{model}: the tokenizer has no end token; expected a fast tokenizer with an eos_token"
            raise errors.StageError(StageReason.MODEL_UNREADABLE, message)
        self._backend = loaded.backend_tokenizer
        self._backend.encode_special_tokens = True
        self.end: int = loaded.eos_token_id
        """Id of the end token."""
        self.unknown = _unknown(self._backend)
        """Id of the token that stands for what the vocabulary lacks; None where there is none."""
        begin = loaded.bos_token_id
        self._head = [] if begin is None or begin == self.end else [begin]
        added = loaded.added_tokens_decoder
        self._is_control = np.zeros(1 + max(added, default=0), bool)
        self._is_control[[number for number, token in added.items() if token.special]] = True
        spelled = [text for token in map(str, added.values()) for text in (token, f"a {token} b", f"a{token}b")]
        self._fast = self._proved([*difficult_texts.TEXTS, *spelled, *_few(sample)])

    @property
    def is_fast(self) -> bool:
        """Whether `fastokens` does the work."""
        return self._fast is not None

    def encode(self, texts: Sequence[str]) -> Encoded:
        """The tokens of each text as one document, in order.

        Raises:
            StageError: ModelUnreadable, when the tokenizer fails on a text.
        """
        inner, counts = self._by_fast(texts) or self._exact(texts)
        ends = np.cumsum(counts + (1 + len(self._head)))
        ids = np.full(int(ends[-1]) if len(ends) else 0, self.end, np.int32)
        is_inner = np.ones(len(ids), bool)
        is_inner[ends - 1] = False
        if self._head:
            starts = ends - counts - 2
            is_inner[starts], ids[starts] = False, self._head[0]
        ids[is_inner] = inner
        return Encoded(ids=ids, sizes=np.diff(ends, prepend=0))

    def _by_fast(self, texts: Sequence[str]) -> tuple[Array, Array] | None:
        """Tokens by the fast engine; None where there is none, or what it gives could be a control token."""
        found = _fast(self._fast, texts) if self._fast else None
        if found is None:
            return None
        low = found[0][found[0] < len(self._is_control)]
        return None if self._is_control[low].any() else found

    def _exact(self, texts: Sequence[str]) -> tuple[Array, Array]:
        with library_errors.reading(f"{self._model}: its tokenizer fails on a text", expected="token sequences"):
            found = [encoding.ids for encoding in self._backend.encode_batch_fast(texts, add_special_tokens=False)]
        ids = np.concatenate([np.empty(0, np.int32), *(np.asarray(one, np.int32) for one in found)])
        return ids, np.array([len(one) for one in found], np.int64)

    def _proved(self, texts: list[str]) -> Any | None:  # noqa: ANN401 -- fastokens is untyped
        """The fast engine, if it gives the tokens of `tokenizers` on these texts."""
        os.environ.setdefault("RAYON_NUM_THREADS", str(cores.allowed()))
        import fastokens  # type: ignore[import-untyped]

        try:
            fast = fastokens.Tokenizer.from_json_str(self._backend.to_str())
        except (ValueError, RuntimeError):
            LOG.info("%s: tokenized by tokenizers; fastokens does not know its kind", self._model)
            return None
        found, expected = _fast(fast, texts), self._exact(texts)
        if found is None or not all(map(np.array_equal, found, expected)):
            LOG.info("%s: tokenized by tokenizers; fastokens gives other tokens", self._model)
            return None
        return fast


def _unknown(backend: Any) -> int | None:  # noqa: ANN401 -- tokenizers is untyped
    kind = json.loads(backend.to_str())["model"]
    if (named := kind.get("unk_token")) is not None:
        found: int | None = backend.token_to_id(named)
        return found
    number: int | None = kind.get("unk_id")  # a Unigram names no token
    return number


def _few(sample: Iterable[str]) -> Iterable[str]:
    left = _SAMPLE
    for text in sample:
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def _fast(engine: Any, texts: Sequence[str]) -> tuple[Array, Array] | None:  # noqa: ANN401 -- fastokens is untyped
    """Tokens one text after the other, and the number of each; None where the engine gives up."""
    try:
        ids, offsets = engine.encode_batch_flat(list(texts), add_special_tokens=False, split_special_tokens=True)
    except (ValueError, RuntimeError):
        return None
    return np.frombuffer(ids, np.uint32).astype(np.int32), np.diff(np.frombuffer(offsets, np.uint64)).astype(np.int64)
