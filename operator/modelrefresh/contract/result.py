"""What a Job answers: `result.json` on the workspace and, in short, the termination message.

The termination message is the only channel that the operator reads (Kubernetes keeps at
most 4 KiB of it), so every summary here must fit; longer detail belongs into result.json.
Numbers are plain measurements: whether they are good enough is the operator's verdict.
"""

import json
from dataclasses import dataclass
from typing import Any

from modelrefresh.contract import codec, sections
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.vocabulary import Stage

TERMINATION_LIMIT = 4096
"""Bytes of termination message that Kubernetes keeps (KEP-2579 leaves it at 4096 per container)."""
MESSAGE_LIMIT = 1500
"""Bytes of `message` that go into the termination message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one attempt of one stage ended."""

    stage: Stage
    run: str
    attempt: int
    exit_code: ExitCode
    reason: str = StageReason.SUCCEEDED
    """A `StageReason`; a text, so that a word of a newer stage does not make its whole result unreadable."""
    message: str = ""
    warnings: tuple[str, ...] = ()
    """What a stage that ended well wants its model owner to look at, a sentence each."""
    nonce: str | None = None
    """`NONCE_VARIABLE` of the pod that speaks; in the termination message only, never on the workspace."""
    step: int | None = None
    """Last finished training step, where the stage has steps."""
    summary: Any = None
    """What the stage found, a record of `sections.summary_of(stage)`; on the wire under the stage's name."""


def render(result: Result) -> str:
    """The result as JSON text for result.json."""
    return json.dumps(document_of(result), indent=1, sort_keys=True)


def document_of(result: Result) -> dict[str, Any]:
    """The result as it stands on the wire."""
    document = codec.to_document(result)
    return document | ({result.stage.value: document.pop("summary")} if "summary" in document else {})


def render_short(result: Result) -> str:
    """The result as a termination message of at most `TERMINATION_LIMIT` bytes; only words are ever cut."""
    for limit in (MESSAGE_LIMIT, MESSAGE_LIMIT // 2, MESSAGE_LIMIT // 4, 0):
        document = document_of(result) | {"message": _beginning(result.message, limit)}
        if not limit:
            document |= {"warnings": []}
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        if len(text.encode()) <= TERMINATION_LIMIT:
            break
    return text


def _beginning(message: str, limit: int) -> str:
    """The message in at most so many bytes; it begins with object and cause, so its end goes."""
    data = message.encode(errors="replace")
    mark = "…" if len(data) > limit > 0 else ""
    return data[: limit - len(mark.encode())].decode(errors="ignore") + mark


def parse(text: str) -> Result:
    """The result behind a termination message or a result.json; what a newer stage adds to it is passed over.

    Raises:
        CodecError: not JSON or another shape; the caller must treat the stage as failed.
    """
    document = codec.read_object(text, path="result")
    stage = codec.parse_enum(Stage, document.get("stage"), path="stage")
    # Stages of the release before spelled the name of one as their Python module is called.
    kind, found = sections.summary_of(stage), document.get(stage.value, document.get(sections.module_name(stage)))
    document.pop("summary", None)
    summary = None if found is None else codec.from_document(kind, codec.known(kind, found), path=stage.value)
    return codec.from_document(Result, codec.known(Result, document), given={"summary": summary})
