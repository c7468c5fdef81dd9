"""The common form of what the operator writes."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import pydantic

from modelrefresh.api.model import ApiModel


class Record(ApiModel):
    """Common form of what the operator writes."""

    model_config = pydantic.ConfigDict(extra="ignore")

    def evolve(self, **changes: Any) -> Self:  # noqa: ANN401 -- any field's value
        """A copy with these fields changed; bounds hold for the new values too."""
        return type(self).model_validate({**self.__dict__, **changes})

    @classmethod
    def of(cls, summary: Any, **more: Any) -> Self:  # noqa: ANN401 -- a stage's record, any field's value
        """What a stage's summary says under the names of this record's fields; `more` is worked out from it.

        Raises:
            ValidationError: a value that a status cannot hold.
        """
        return cls.model_validate(dataclasses.asdict(summary) | more)

    @classmethod
    def read(cls, document: Mapping[str, Any] | None) -> Self:
        """The record behind a part of an API object; an absent one is empty.

        Raises:
            pydantic.ValidationError: somebody else wrote into it.
        """
        return cls.model_validate(document or {})

    def render(self) -> dict[str, Any]:
        """The record as a part of an API object; what is absent is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
