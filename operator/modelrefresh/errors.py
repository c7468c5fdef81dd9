"""All errors of the operator.

    ModelRefreshError
    ├── SpecError            the object cannot be understood; said once as a condition, never retried
    ├── ApiError             the Kubernetes API refused or failed
    │   ├── NotFoundError    404
    │   ├── ConflictError    409, a stale resourceVersion or an existing name: look again
    │   ├── InvalidError     422 or 400: the server refuses the object itself
    │   ├── ForbiddenError   401 or 403: a permission is missing
    │   ├── ThrottledError   429, with the seconds the server asks to wait
    │   └── UnavailableError 5xx, timeout or no connection: try later
    └── NotLeaderError       a write was due while the Lease was not surely ours

A leaf exists only where somebody handles it differently.
"""


class ModelRefreshError(Exception):
    """Base of all errors of this operator."""


class SpecError(ModelRefreshError):
    """An object's spec cannot be used; `faults` lists every field with what was seen and what is accepted."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class ApiError(ModelRefreshError):
    """The Kubernetes API refused or failed; the message names verb, object and answer."""


class NotFoundError(ApiError):
    """404."""


class ConflictError(ApiError):
    """409."""


class InvalidError(ApiError):
    """400 or 422."""


class ForbiddenError(ApiError):
    """401 or 403."""


class ThrottledError(ApiError):
    """429; `retry_after` seconds as the server asked."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnavailableError(ApiError):
    """5xx, timeout or no connection."""


class NotLeaderError(ModelRefreshError):
    """A write was due while this process did not surely hold the Lease."""
