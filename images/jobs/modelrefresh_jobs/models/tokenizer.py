"""Loading of a model's tokenizer from its folder; no other module loads one.

Truncation, padding and dropout that a tokenizer was saved with are off here, so that only
our stages decide. Knows nothing of what a tokenizer is used for.
"""

import logging
import pathlib
from typing import Any

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import library_errors, model_folder
from modelrefresh_jobs.process.errors import StageError

LOG = logging.getLogger("modelrefresh.jobs")
_DOCUMENTS = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def load(model: pathlib.Path) -> Any:  # noqa: ANN401 -- transformers' tokenizers are untyped
    """The fast tokenizer of a model folder, without truncation, padding and dropout.

    Raises:
        StageError: ModelUnreadable, when a file is damaged, or there is no fast tokenizer.
    """
    for name in _DOCUMENTS:
        if (model / name).exists():
            model_folder.read_json(model / name)
    import transformers

    with library_errors.reading(
        f"{model}: its tokenizer cannot be loaded", expected="files that transformers loads without code"
    ):
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)
        if not tokenizer.is_fast:
            raise StageError(
                StageReason.MODEL_UNREADABLE, f"{model}: the tokenizer has no tokenizer.json; expected a fast one"
            )
        _ = tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id
        _switch_off(tokenizer.backend_tokenizer, model)
    tokenizer.clean_up_tokenization_spaces = False  # texts are what was generated
    tokenizer.split_special_tokens = False  # control tokens of a chat template stay tokens
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
