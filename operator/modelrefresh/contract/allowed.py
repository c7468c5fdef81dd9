"""Which URIs a prefix of a profile's `allowedSources` covers: told once, for operator and stages.

A prefix ends at a boundary: `pvc://corpus/public` is that file or folder and what lies below it, not
`pvc://corpus/public-embargoed`; `hf://ORG` is that organisation, `hf://ORG/NAME` all commits of one repository.
"""

from collections.abc import Iterable

_ENDS = ("://", "/", "@")


def covers(prefix: str, uri: str) -> bool:
    """Whether the URI is at or below the prefix."""
    if prefix.endswith(_ENDS):
        return uri.startswith(prefix) or f"{uri}/" == prefix
    return uri == prefix or uri.startswith((f"{prefix}/", f"{prefix}@") if prefix.startswith("hf://") else f"{prefix}/")


def widest(prefixes: Iterable[str], uri: str) -> str | None:
    """The shortest prefix that covers the URI; None if none does."""
    return min((prefix for prefix in prefixes if covers(prefix, uri)), key=len, default=None)
