"""What the operator asks of a Job: one JSON document in one environment variable.

`StageRequest` is the whole request, its section what the stage is asked (`stages/`). On the wire the section
stands under the stage's name. Locations are URIs: `pvc://CLAIM/PATH` is mounted read-only at
`SOURCES/CLAIM/PATH`, `hf://ORG/NAME@REVISION` is fetched into the workspace's cache,
`file:///PATH` is for people who run a stage by hand.
"""

import json
from dataclasses import dataclass
from typing import Any

from modelrefresh.contract import codec, sections
from modelrefresh.contract.forms import Name
from modelrefresh.contract.vocabulary import Stage

INPUT_VARIABLE = "MODELREFRESH_INPUT"
"""Environment variable that carries the `StageRequest` document."""
WORKSPACE = "/workspace"
"""Where the namespace's workspace claim is mounted, writable."""
SOURCES = "/sources"
"""Parent of the read-only mounts of `pvc://` claims, one folder per claim."""
MASTER_VARIABLE = "MODELREFRESH_MASTER_ADDR"
"""Address of the first node's pod, set on training pods of several nodes."""
NONCE_VARIABLE = "MODELREFRESH_NONCE"
"""What the result of this attempt must carry: made by the operator for one Job, unknown to every other pod."""
PROGRESS_PORT = 9400
"""Port on which a stage answers `/progress` (JSON) and `/metrics` (Prometheus text)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRequest:
    """One request to one attempt of one stage."""

    stage: Stage
    owner: Name
    """Name of the ModelRefresh or InstructionResidual; first part of the scratch path."""
    run: Name
    attempt: int = 1
    workspace: str = WORKSPACE
    sources: str = SOURCES
    allowed: tuple[str, ...] = ()
    """Prefixes of URIs below which everything that is read must lie; none means all of a claim."""
    section: Any
    """What the stage is asked, a record of `sections.input_of(stage)`."""


def render(request: StageRequest) -> str:
    """The request as the value of `INPUT_VARIABLE`; equal requests give equal text."""
    return json.dumps(document_of(request), sort_keys=True, separators=(",", ":"))


def document_of(request: StageRequest) -> dict[str, Any]:
    """The request as it stands on the wire."""
    document = codec.to_document(request)
    return document | {request.stage.value: document.pop("section")}


def parse(text: str) -> StageRequest:
    """The request behind the value of `INPUT_VARIABLE`.

    Raises:
        CodecError: not JSON, another shape, or the section named by `stage` is missing.
    """
    document = codec.read_object(text, path=INPUT_VARIABLE)
    stage = codec.parse_enum(Stage, document.get("stage"), path=f"{INPUT_VARIABLE}.stage")
    if stage.value not in document:
        raise codec.CodecError(f"{INPUT_VARIABLE}: stage is {stage} but section {stage.value!r} is missing")
    section: object = codec.from_document(sections.input_of(stage), document.pop(stage.value), path=stage.value)
    return codec.from_document(StageRequest, document, given={"section": section})
