r"""Where something is read from, as a URI: the schemes that users may write, their forms, parts and prefixes.

The API server checks the forms (`api/sources.py`), the worker opens what they name by a file for each scheme
(`modelrefresh_jobs/storage/schemes/`). `file:///PATH` is for people who run a stage by hand, and none of the table.
Patterns are those of RE2, as CEL reads them; `in_python` turns one into Python's spelling.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SUBDOMAIN: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
"""Name of most Kubernetes objects (RFC 1123)."""
UNSEEN: Final = (
    r"\x{0}-\x{1f}\x{7f}-\x{a0}\x{ad}\x{61c}\x{180e}\x{2000}-\x{200f}\x{2028}-\x{202f}\x{205f}-\x{206f}\x{3000}"
    r"\x{e000}-\x{f8ff}\x{feff}\x{fff9}-\x{fffb}\x{e0000}-\x{e0fff}"
)
r"""What a text of a tenant may not hold, inside of a character class: it is not seen, or moves what is.

Spelled out and not as \s, of which Python, CEL and JSON schema each have another notion.
"""
_PART = rf"[^/ ${UNSEEN}]+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One way to name a place."""

    name: str
    form: str
    """What the whole URI must match."""
    example: str
    says: str
    """What is told of a URI of this scheme in another form, behind the URI itself."""
    begins: str | None = None
    """What its beginning must match besides."""
    never: str | None = None
    """What may stand nowhere in it."""

    @property
    def prefix(self) -> str:
        """Such as `pvc://`."""
        return f"{self.name}://"

    def fits(self, uri: str) -> bool:
        """Whether a URI of this scheme has its form."""
        return (
            re.fullmatch(in_python(self.form), uri) is not None
            and (self.begins is None or re.match(self.begins, uri) is not None)
            and (self.never is None or re.search(self.never, uri) is None)
        )


CLAIM: Final = Scheme(
    name="pvc",
    form=rf"pvc://{SUBDOMAIN}/({_PART}(/{_PART})*/?)?",
    example="pvc://CLAIM/PATH",
    begins=r"pvc://[^/]{1,253}/",
    never=r"/\.\.?(/|$)",
    says=(
        "is not pvc://CLAIM/PATH: CLAIM is the name of a PersistentVolumeClaim of this namespace, PATH has no space, "
        "no $, nothing that is not seen, and no empty, . or .. part"
    ),
)
HUB: Final = Scheme(
    name="hf",
    form=r"hf://[A-Za-z0-9][-A-Za-z0-9._]{0,95}/[A-Za-z0-9][-A-Za-z0-9._]{0,95}@[0-9a-f]{40}",
    example="hf://ORG/NAME@REVISION",
    says="is not hf://ORG/NAME@REVISION: REVISION is a full commit hash of 40 digits 0-9a-f",
)
SCHEMES: Final = (CLAIM, HUB)
"""What a spec may name."""
_ENDS: Final = ("://", "/", "@")


def in_python(pattern: str) -> str:
    """A pattern of RE2 (CEL, JSON schema) as one of Python's `re`, which spells code points otherwise."""
    return re.sub(r"\\x\{([0-9a-f]+)\}", lambda found: f"\\U{int(found[1], 16):08x}", pattern)


def claim_of(uri: str) -> str | None:
    """Name of the PersistentVolumeClaim that a URI names; None if it names none."""
    return uri.removeprefix(CLAIM.prefix).partition("/")[0] if uri.startswith(CLAIM.prefix) else None


def covers(prefix: str, uri: str) -> bool:
    """Whether the URI is at or below a prefix of a profile's `allowedSources`: told once, for operator and stages.

    A prefix ends at a boundary: `pvc://corpus/public` is that file or folder and what lies below it, not
    `pvc://corpus/public-embargoed`; `hf://ORG` is that organisation, `hf://ORG/NAME` all commits of one repository.
    """
    if prefix.endswith(_ENDS):
        return uri.startswith(prefix) or f"{uri}/" == prefix
    return uri == prefix or uri.startswith((f"{prefix}/", f"{prefix}@") if prefix.startswith("hf://") else f"{prefix}/")


def widest(prefixes: Iterable[str], uri: str) -> str | None:
    """The shortest prefix that covers the URI; None if none does."""
    return min((prefix for prefix in prefixes if covers(prefix, uri)), key=len, default=None)
