"""Scalar types of the API: names, decimals, quantities, cron expressions, time zones.

Decimals are strings, so that no float rounding lies between YAML and gate. Every type is
bounded, because the API server refuses rules over values without a bound.
"""

import datetime
import zoneinfo
from typing import Annotated

import cronsim
import pydantic
from pydantic_core import PydanticCustomError

from modelrefresh.api.model import between
from modelrefresh.contract import limits, uris

Name = Annotated[str, pydantic.Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
ObjectName = Annotated[str, pydantic.Field(min_length=1, max_length=253, pattern=f"^{uris.SUBDOMAIN}$")]

_Number = Annotated[str, pydantic.Field(min_length=1, max_length=16)]
LearningRate = Annotated[_Number, between(limits.LEARNING_RATE)]
WarmupRatio = Annotated[_Number, between(limits.WARMUP_RATIO)]
MinLearningRateRatio = Annotated[_Number, between(limits.MIN_LEARNING_RATE_RATIO)]
DecayRatio = Annotated[_Number, between(limits.DECAY_RATIO)]
Epochs = Annotated[_Number, between(limits.EPOCHS)]
Scale = Annotated[_Number, between(limits.SCALE)]
PreviousShare = Annotated[_Number, between(limits.PREVIOUS_SHARE)]
Confidence = Annotated[_Number, between(limits.Range(least=0.5, most=1, open_high=True))]
Difference = Annotated[_Number, between(limits.Range(least=-1, most=1))]
Fraction = Annotated[_Number, between(limits.Range(least=0, most=1))]

_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
Quantity = Annotated[str, pydantic.Field(min_length=1, max_length=20, pattern=_QUANTITY)]


_SOME_TIME = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


def _readable(schedule: str) -> str:
    try:
        cronsim.CronSim(schedule, _SOME_TIME)
    except cronsim.CronSimError as error:
        message = f'"{schedule}" is not a cron expression: {error}; e.g. "0 3 * * 0" is Sundays at 3'
        raise PydanticCustomError("schedule", "{message}", {"message": message}) from error
    return schedule


def _known(zone: str) -> str:
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f'"{zone}" is not a time zone of the IANA database, such as Etc/UTC or Asia/Tokyo'
        raise PydanticCustomError("time_zone", "{message}", {"message": message}) from error
    return zone


_FIELD = r"[0-9A-Za-z*/,#-]+"
Schedule = Annotated[
    str,
    pydantic.Field(min_length=9, max_length=100, pattern=rf"^{_FIELD}( +{_FIELD}){{4}}$"),
    pydantic.AfterValidator(_readable),
]
TimeZone = Annotated[
    str,
    pydantic.Field(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$"),
    pydantic.AfterValidator(_known),
]
