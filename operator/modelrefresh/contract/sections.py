"""Which record is a stage's part of a request, and which of a result: found by its name in `stages/`."""

import importlib
import keyword
from types import ModuleType

from modelrefresh.contract import stages
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


def _record(stage: Stage, part: str) -> type:
    found: type = getattr(_module(stage), f"{stage.value.title()}{part}")
    return found


def _module(stage: Stage) -> ModuleType:
    return importlib.import_module(f"{stages.__name__}.{module_name(stage)}")
