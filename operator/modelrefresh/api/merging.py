"""What model owners write of the sum: which residuals are added, with which factors, averaged with what."""

from typing import Annotated

import pydantic

from modelrefresh.api.evaluation import Suite
from modelrefresh.api.model import ApiModel, ListMap, ValidationRule
from modelrefresh.api.sources import same_place
from modelrefresh.api.spec_types import ObjectName, PreviousShare, Scale
from modelrefresh.contract import limits
from modelrefresh.contract.forms import TENSORS
from modelrefresh.contract.vocabulary import Transfer

SCALES = 8
"""The most factors of one search."""
_DEV_SUITES = 4
PATTERNS = 16
"""The most patterns of factors."""


class ResidualRef(ApiModel):
    """An InstructionResidual of this namespace."""

    name: ObjectName
    """Name of the object."""
    transfer: Transfer | None = None
    """SameFamily adds it to another base of its family, such as another release; if absent only to its own base."""


class AddedResidual(ResidualRef):
    """One more residual."""

    scale: Scale = str(limits.SCALE.default)
    """Factor of the residual, a decimal in quotes from 0 to 2; 1.0 if absent."""


class TensorScale(ApiModel):
    """A factor for some tensors."""

    tensors: str = pydantic.Field(min_length=1, max_length=128, pattern=f"^{TENSORS.pattern}$")
    """Names of tensors as a shell pattern, such as `*.mlp.*`."""
    scale: Scale
    """Factor of the residual for them, a decimal in quotes from 0 to 2."""


class Search(ApiModel):
    """The factor is chosen by questions that no gate asks."""

    rules = (
        ValidationRule(
            cel="self.scales.all(s, self.scales.exists_one(o, double(o) == double(s)))",
            holds=lambda search: len({float(one) for one in search.scales}) == len(search.scales),
            message="a factor stands twice; each is merged and asked, so name it once",
            path=".scales",
        ),
        ValidationRule(
            cel=f"self.suites.all(s, self.suites.exists_one(o, {same_place('o', 's')}))",
            holds=lambda search: len({one.place for one in search.suites}) == len(search.suites),
            message="residual.search.suites names one place twice; its questions would count double, name it once",
            path=".suites",
        ),
    )

    scales: Annotated[tuple[Scale, ...], pydantic.Field(min_length=2, max_length=SCALES)]
    """Factors to try, decimals in quotes; of those that answer equally well the one nearest to 1 is taken."""
    suites: Annotated[tuple[Suite, ...], pydantic.Field(min_length=1, max_length=_DEV_SUITES), ListMap("name")]
    """Questions to choose by: the mean of each suite's first metric; not those of the evaluation."""


class ResidualSettings(ApiModel):
    """How the residual is added."""

    scale: Scale = str(limits.SCALE.default)
    """Factor of the residual, a decimal in quotes from 0 to 2; 1.0 in the paper."""
    scales: Annotated[tuple[TensorScale, ...], pydantic.Field(max_length=PATTERNS)] = ()
    """Factors for some tensors instead; the first pattern that a name matches counts."""
    search: Search | None = None
    """Try several factors instead, without training again."""


class Average(ApiModel):
    """The sum averaged with what serves."""

    previous: PreviousShare
    """Share of the version that serves, a decimal in quotes, more than 0 and less than 1; none while nothing does."""
