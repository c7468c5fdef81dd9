"""Where models, text and questions are read from: the type of a URI, and the part that holds one.

Makes rules for the API server of the schemes in `contract/uris.py`. Whether the claim exists, or the
profile allows the source, is not known here.
"""

from typing import Annotated

import pydantic

from modelrefresh.api.model import ApiModel, ValidationRule
from modelrefresh.contract import uris
from modelrefresh.contract.uris import Scheme

_NO_S3 = ": s3:// is not supported yet; use pvc:// or hf://"
_UNKNOWN = f" has no known scheme; use {' or '.join(scheme.example for scheme in uris.SCHEMES)}"
_PREFIXES = tuple(scheme.prefix for scheme in uris.SCHEMES)

_KNOWN_SCHEME = ValidationRule(
    cel=" || ".join(f"self.startsWith('{prefix}')" for prefix in _PREFIXES),
    holds=lambda uri: uri.startswith(_PREFIXES),
    message=_UNKNOWN.strip(),
    expression=f"""'"' + self + '"' + (self.startsWith('s3://') ? '{_NO_S3}' : '{_UNKNOWN}')""",
    says=lambda uri: f'"{uri}"{_NO_S3 if uri.startswith("s3://") else _UNKNOWN}',
)


def _form(scheme: Scheme) -> ValidationRule:
    """A URI of this scheme has its form."""
    terms = [f"self.matches(r'^{scheme.form}$')"]
    terms += [f"self.matches(r'^{scheme.begins}')"] if scheme.begins else []
    terms += [f"!self.matches(r'{scheme.never}')"] if scheme.never else []
    joined = " && ".join(terms)
    return ValidationRule(
        cel=f"!self.startsWith('{scheme.prefix}') || {f'({joined})' if len(terms) > 1 else joined}",
        holds=lambda uri: not uri.startswith(scheme.prefix) or scheme.fits(uri),
        message=scheme.says,
        expression=f"""'"' + self + '" {scheme.says}'""",
        says=lambda uri: f'"{uri}" {scheme.says}',
    )


Uri = Annotated[str, pydantic.Field(min_length=7, max_length=512), _KNOWN_SCHEME, *map(_form, uris.SCHEMES)]


class Source(ApiModel):
    """A place to read from."""

    uri: Uri
    """pvc://CLAIM/PATH in this namespace, or hf://ORG/NAME@REVISION with a full commit hash."""

    @property
    def place(self) -> str:
        """The URI in one spelling: the form of URIs leaves but a slash at the end free."""
        return self.uri.removesuffix("/")


def same_place(one: str, other: str) -> str:
    """CEL that says whether two sources, named by these variables, are one place."""
    return f"({one}.uri == {other}.uri || {one}.uri + '/' == {other}.uri || {one}.uri == {other}.uri + '/')"
