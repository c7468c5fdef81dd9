"""How the pods of one attempt ended, and which of them speaks for it.

Only the stage's own container is asked, by its name: sidecars, init and ephemeral containers
that others put into a pod say nothing about the stage. Of several pods the worst cause
speaks; the others saw its consequences. Knows nothing of Jobs but their failure's message.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from modelrefresh.contract import codec, exit_codes, result
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.kube import documents
from modelrefresh.kube.port import Document
from modelrefresh.manifests.pod import CONTAINER, ROOM

_NAMED: Final = re.compile(r"for pod \S*?/(\S+) failed with exit code (\d+)")
_DISRUPTED: Final = "DisruptionTarget"
_DISRUPTED_POD: Final = re.compile(r"Pod \S*?/(\S+) has condition DisruptionTarget")
_KILLED: Final = (137, 143)
"""128 + SIGKILL or SIGTERM: ended from outside."""
_OWN_WORD: Final = (ExitCode.BAD_INPUT, ExitCode.OUT_OF_MEMORY, ExitCode.DIVERGED)
"""Codes that a stage ends with by itself, whatever befalls its pod at that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the stage ended in one pod."""

    pod: str
    exit_code: int | None = None
    """None if its container has not ended, or nobody recorded how."""
    text: str = ""
    """Termination message."""
    disrupted: bool = False
    out_of_memory: bool = False
    deadline_exceeded: bool = False
    named: bool = False
    """The Job's own condition names this pod."""

    @property
    def answer(self) -> result.Result | None:
        """The termination message as a result; None if it is none."""
        try:
            return result.parse(self.text)
        except codec.CodecError:
            return None

    @property
    def fault(self) -> str:
        """Why the termination message is no result; empty if it is one."""
        try:
            result.parse(self.text)
        except codec.CodecError as error:
            return str(error)
        return ""


def container(pod: Document) -> Document:
    """Status of the stage's own container; empty before there is one."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return next((dict(status) for status in statuses if status.get("name") == CONTAINER), {})


def terminated(pod: Document) -> Document | None:
    """How the stage's own container ended, or the one before it that makes its folders and failed; None if neither."""
    end = container(pod).get("state", {}).get("terminated")
    if end:
        return dict(end)
    before = pod.get("status", {}).get("initContainerStatuses") or ()
    room: Document = next((status for status in before if status.get("name") == ROOM), {})
    failed = room.get("state", {}).get("terminated") or {}
    return dict(failed) if failed.get("exitCode") else None


def is_held_open(pod: Document) -> bool:
    """Whether the stage has ended, but something that others put beside it still runs."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    others = [status for status in statuses if status.get("name") != CONTAINER]
    return terminated(pod) is not None and any(status.get("state", {}).get("running") for status in others)


def of(pods: Iterable[Document], *, said: str) -> list[Ending]:
    """One for each pod, and one for a pod that is gone and lives on in what the Job's condition said."""
    failed, disrupted = _NAMED.search(said), _DISRUPTED_POD.search(said)
    named = (failed or disrupted or [None, None])[1]
    found = [_of_pod(pod, named=pod["metadata"]["name"] == named) for pod in pods]
    if named is not None and not any(end.named for end in found):
        code = int(failed[2]) if failed else None
        found.append(Ending(pod=named, exit_code=code, text=said, disrupted=disrupted is not None, named=True))
    return found


def culprit(endings: Iterable[Ending]) -> Ending | None:
    """The one that speaks for a failed attempt: the worst, of equals the one that the Job names."""
    return min(endings, key=lambda end: (_severity(end), not end.named, end.pod), default=None)


def _of_pod(pod: Document, *, named: bool) -> Ending:
    end, name = terminated(pod), pod["metadata"]["name"]
    late = pod.get("status", {}).get("reason") == "DeadlineExceeded"
    disrupted = documents.condition(pod, _DISRUPTED) is not None
    if end is None:
        return Ending(pod=name, disrupted=disrupted, deadline_exceeded=late, named=named)
    code, killed = int(end["exitCode"]), end.get("reason") == "OOMKilled"
    alone = code not in _OWN_WORD
    return Ending(
        pod=name,
        exit_code=code,
        text=str(end.get("message") or ""),
        disrupted=disrupted and alone,
        out_of_memory=killed,
        # What had failed by itself before the time was over did not run out of it.
        deadline_exceeded=late and alone and code != ExitCode.OK,
        named=named,
    )


def _severity(end: Ending) -> float:
    if end.out_of_memory:
        return exit_codes.severity(ExitCode.OUT_OF_MEMORY)
    if end.deadline_exceeded:
        # It ends the attempt for good, as a divergence does.
        return exit_codes.severity(ExitCode.DIVERGED) + 0.5
    if end.disrupted or end.exit_code in _KILLED:
        return exit_codes.severity(ExitCode.PREEMPTED)
    if end.exit_code is None:
        return exit_codes.severity(ExitCode.PEER_LOST) + 0.5
    return exit_codes.severity(end.exit_code)
