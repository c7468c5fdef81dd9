"""Where models, text and questions are read from: URIs and the part that holds one.

Knows the form of `pvc://` and `hf://` and says what is wrong with any other text. Whether
the claim exists, or the profile allows the source, is not known here.
"""

import re
from typing import Annotated

import pydantic

from modelrefresh.api.model import Claim, Part
from modelrefresh.api.spec_types import SUBDOMAIN, UNSEEN, in_python

_PART = rf"[^/ ${UNSEEN}]+"
_CLAIM_FORM = rf"pvc://{SUBDOMAIN}/({_PART}(/{_PART})*/?)?"
_NAME_FITS = r"pvc://[^/]{1,253}/"
_IS_CLAIM = re.compile(in_python(_CLAIM_FORM))
_DOTS = r"/\.\.?(/|$)"
_HUB_FORM = r"hf://[A-Za-z0-9][-A-Za-z0-9._]{0,95}/[A-Za-z0-9][-A-Za-z0-9._]{0,95}@[0-9a-f]{40}"
_CLAIM_SAYS = (
    "is not pvc://CLAIM/PATH: CLAIM is the name of a PersistentVolumeClaim of this namespace, PATH has no space, "
    "no $, nothing that is not seen, and no empty, . or .. part"
)
_HUB_SAYS = "is not hf://ORG/NAME@REVISION: REVISION is a full commit hash of 40 digits 0-9a-f"
_NO_S3 = ": s3:// is not supported yet; use pvc:// or hf://"
_SCHEME_SAYS = " has no known scheme; use pvc://CLAIM/PATH or hf://ORG/NAME@REVISION"

_SCHEME = Claim(
    cel="self.startsWith('pvc://') || self.startsWith('hf://')",
    holds=lambda uri: uri.startswith(("pvc://", "hf://")),
    message=_SCHEME_SAYS.strip(),
    expression=f"""'"' + self + '"' + (self.startsWith('s3://') ? '{_NO_S3}' : '{_SCHEME_SAYS}')""",
    says=lambda uri: f'"{uri}"{_NO_S3 if uri.startswith("s3://") else _SCHEME_SAYS}',
)
_CLAIM_URI = Claim(
    cel=f"!self.startsWith('pvc://') || (self.matches(r'^{_CLAIM_FORM}$') && self.matches(r'^{_NAME_FITS}')"
    f" && !self.matches(r'{_DOTS}'))",
    holds=lambda uri: (
        not uri.startswith("pvc://")
        or bool(_IS_CLAIM.fullmatch(uri) and re.match(_NAME_FITS, uri) and not re.search(_DOTS, uri))
    ),
    message=_CLAIM_SAYS,
    expression=f"""'"' + self + '" {_CLAIM_SAYS}'""",
    says=lambda uri: f'"{uri}" {_CLAIM_SAYS}',
)
_HUB_URI = Claim(
    cel=f"!self.startsWith('hf://') || self.matches(r'^{_HUB_FORM}$')",
    holds=lambda uri: not uri.startswith("hf://") or bool(re.fullmatch(_HUB_FORM, uri)),
    message=_HUB_SAYS,
    expression=f"""'"' + self + '" {_HUB_SAYS}'""",
    says=lambda uri: f'"{uri}" {_HUB_SAYS}',
)
Uri = Annotated[str, pydantic.Field(min_length=7, max_length=512), _SCHEME, _CLAIM_URI, _HUB_URI]


class Source(Part):
    """A place to read from."""

    uri: Uri
    """pvc://CLAIM/PATH in this namespace, or hf://ORG/NAME@REVISION with a full commit hash."""
