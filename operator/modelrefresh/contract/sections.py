"""Which record is a stage's part of a request, and which of a result: found by its name in `stages/`."""

import dataclasses
import importlib
import keyword
import typing
from collections.abc import Iterator
from types import ModuleType

from modelrefresh.contract import forms, stages
from modelrefresh.contract.vocabulary import Stage


def module_name(stage: Stage) -> str:
    """The name of a stage's file, on every side: that of the stage, with a `_` where Python keeps the word."""
    return f"{stage.value}_" if keyword.iskeyword(stage.value) else stage.value


def input_of(stage: Stage) -> type:
    """What the stage is asked."""
    return _record(stage, "Input")


def summary_of(stage: Stage) -> type:
    """What the stage answers where it ends well."""
    return _record(stage, "Summary")


def publishes(stage: Stage) -> tuple[str, ...]:
    """Folders below the workspace, beside its own scratch, in which the stage writes."""
    found: tuple[str, ...] = _module(stage).PUBLISHES
    return found


def uris_of(record: object) -> Iterator[str]:
    """Every URI in a request's section or in a record of it: what stands in a field for one, and no other text."""
    if isinstance(record, tuple):
        for item in record:
            yield from uris_of(item)
    elif dataclasses.is_dataclass(record) and not isinstance(record, type):
        hints = typing.get_type_hints(type(record), include_extras=True)
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            if isinstance(value, str) and forms.URI in _notes(hints[field.name]):
                yield value
            yield from uris_of(value)


def _notes(hint: object) -> tuple[object, ...]:
    """What a field's type is annotated with, also where the field is optional."""
    notes: tuple[object, ...] = getattr(hint, "__metadata__", ())
    return notes + tuple(note for one in typing.get_args(hint) for note in getattr(one, "__metadata__", ()))


def _record(stage: Stage, part: str) -> type:
    found: type = getattr(_module(stage), f"{stage.value.title()}{part}")
    return found


def _module(stage: Stage) -> ModuleType:
    return importlib.import_module(f"{stages.__name__}.{module_name(stage)}")
