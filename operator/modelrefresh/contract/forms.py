"""Texts with a form: places, digests, dates."""

from typing import Annotated

from modelrefresh.contract import codec

URI = codec.Form(pattern=r"[a-z0-9]+://.*", says="a URI")
DIGEST = codec.Form(pattern=r"[0-9a-f]{64}", says="a digest of 64 digits 0-9a-f")
DATE = codec.Form(pattern=r"\d{4}-\d\d-\d\d(T[0-9:.]{4,15}([+-]\d\d:\d\d|Z)?)?", says="an ISO date")
NAME = codec.Form(pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}", says="a name of letters, digits, '.', '_' and '-'")
TENSORS = codec.Form(pattern=r"[A-Za-z0-9_.*?]+", says="a shell pattern of tensors' names, without classes")
Name = Annotated[str, NAME]
"""What becomes one part of a path."""
Uri = Annotated[str, URI]
"""Where something is read from."""
Digest = Annotated[str, DIGEST]
"""A sealed folder of the workspace by its content; nothing else, so that no request of a pod can name a path."""
