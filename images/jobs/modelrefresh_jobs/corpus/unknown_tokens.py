"""Text that the tokenizer does not know: a model that learns the token for it learns nothing of the text.

Counts are those of `selection`. A few such tokens are told, with a document to look at; where they are most of the
text, the stage ends. Names a document by its file and place, never by its words.
"""

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.corpus import deduplication, selection
from modelrefresh_jobs.corpus.candidates import Source
from modelrefresh_jobs.corpus.reading import documents
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.process.progress import Progress

_TOLD = 0.001
"""Share of the tokens, 0-1, from which they are told; some rare signs stand in every large corpus."""
_MOST = 0.5
"""Share above which nothing can be learnt."""


def check(chosen: selection.Chosen, source: Source, *, uri: str, progress: Progress) -> None:
    """Warn of unknown tokens in what was chosen.

    Raises:
        StageError: NoData, when most of the tokens are unknown.
    """
    share = chosen.unknown / max(1, chosen.tokens - len(chosen.places))
    if chosen.least_known is None or share < _TOLD:
        return
    seen = (
        f"{uri}: the tokenizer of the base does not know {share:.1%} of the text and reads it as its unknown token, "
        f"most in {_place(source, chosen.least_known)}"
    )
    if share > _MOST:
        message = f"{seen}; expected text in the script and language of the model: take another base or other data"
        raise StageError(StageReason.NO_DATA, message)
    progress.warn(f"{seen}; the model cannot learn that part, look whether it matters")


def _place(source: Source, row: int) -> str:
    """Where the first document of this row stands; reads the source again."""
    for file in source.files:
        for number, document in enumerate(documents.read([file], text_field=source.text_field), 1):
            if source.seen.rows([deduplication.digest(document.text)])[0] == row:
                return f"document {number} of {file.path}"
    return "a document that is gone"
