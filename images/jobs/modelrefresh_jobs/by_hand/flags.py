"""A record of the contract as flags of a command line, and back.

Name, type, accepted values, default and help of a flag are those of the record's field, its
limits and its docstring, so that a new field is a new flag. Knows no stage and no file: a
path becomes a URI here and is opened elsewhere.
"""

import argparse
import ast
import dataclasses
import enum
import inspect
import itertools
import os
import pathlib
import re
import textwrap
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any

from modelrefresh.contract import codec, forms, limits
from modelrefresh.contract.forms import DIGEST, MEMORY, TENSORS, URI
from modelrefresh.contract.stages.evaluate import SuiteInput
from modelrefresh.contract.stages.merge import AddedResidual, TensorScale
from modelrefresh.contract.vocabulary import Task, Transfer

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""What becomes part of a path: a suite, an owner, a run."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """The type of a field, taken apart."""

    plain: Any
    notes: tuple[object, ...] = ()
    optional: bool = False

    @property
    def limit(self) -> limits.Range | None:
        """The field's range, if it is a number."""
        return next((note for note in self.notes if isinstance(note, limits.Range)), None)

    @property
    def item(self) -> type:
        """Of what the field takes several values."""
        found: type = typing.get_args(self.plain)[0]
        return found

    @property
    def many(self) -> bool:
        """Whether the field takes several values."""
        return typing.get_origin(self.plain) is tuple


def add(parser: argparse.ArgumentParser, kind: type, *, also: Mapping[str, str] | None = None) -> None:
    """Give the parser a flag for each field of a record; `also` names second spellings by field."""
    texts = docstrings(kind)
    for field in _fields(kind):
        names = [
            f"--{spelled.replace('_', '-')}" for spelled in (field.name, *((also or {}).get(field.name, "").split()))
        ]
        known = hint(kind, field.name)
        options = _options(known, field) | {"dest": field.name}
        text = f"{texts.get(field.name, '')} {_remark(known, options)}".strip().replace("%", "%%")
        parser.add_argument(*names, help=text, **options)


def hint(kind: type, field: str) -> Hint:
    """What the flag of a record's field goes by."""
    return _take_apart(typing.get_type_hints(kind, include_extras=True)[field])


def read(kind: type, given: argparse.Namespace) -> dict[str, Any]:
    """The values of a record's fields among what was given."""
    values = {field.name: getattr(given, field.name) for field in _fields(kind)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def docstrings(kind: type) -> dict[str, str]:
    """The texts below the fields of a record or the words of an enumeration; Python keeps them in the source only."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 -- the source of a class
    found: dict[str, str] = {}
    for field, text in itertools.pairwise(definition.body):
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            targets = field.targets if isinstance(field, ast.Assign) else [getattr(field, "target", None)]
            found |= {one.id: " ".join(str(text.value.value).split()) for one in targets if isinstance(one, ast.Name)}
    return found


def place(text: str) -> str:
    """A URI as it is, a path as a URI."""
    return _text(text) if "://" in text else f"file://{pathlib.Path(_text(text)).absolute()}"


def name(text: str) -> str:
    """A word that can be part of a path."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}; expected up to 63 letters, digits, '.', '_' and '-'")
    return text


def folder(text: str) -> pathlib.Path:
    """A folder to write to, whether it is there or not."""
    path = pathlib.Path(_text(text)).absolute()
    found = os.path.exists  # Path.exists raises of a name that no disk holds
    nearest = next(one for one in (path, *path.parents) if found(one))
    if not nearest.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: {nearest} is a file; expected a folder")
    return path


def whole(limit: limits.Range) -> Callable[[str], int]:
    """A reader of whole numbers in this range."""
    return lambda text: int(_number(text, limit, int, "a whole number"))


def _fields(kind: type) -> "list[dataclasses.Field[Any]]":
    """The fields that people at a shell give; what another stage will be asked is none of them."""
    fields: list[dataclasses.Field[Any]] = list(dataclasses.fields(kind))
    return [field for field in fields if not dataclasses.is_dataclass(hint(kind, field.name).plain)]


def _options(known: Hint, field: "dataclasses.Field[Any]") -> dict[str, Any]:
    default = None if field.default is dataclasses.MISSING else field.default
    if known.plain is bool:
        return {"action": argparse.BooleanOptionalAction, "default": default}
    if known.limit and not known.optional:
        default = known.limit.default
    if isinstance(default, enum.Enum):
        default = default.value
    missing = field.default is dataclasses.MISSING and default is None and not known.optional
    options = {"required": missing, "default": default, "metavar": _metavar(known), "type": _reader(known)}
    # A list, since argparse extends a copy of the default.
    return options | {"action": "extend", "nargs": "+", "default": []} if known.many else options


def _remark(known: Hint, options: Mapping[str, Any]) -> str:
    parts = [known.limit.accepted] if known.limit else []
    if isinstance(known.plain, type) and issubclass(known.plain, enum.Enum):
        parts.append(" or ".join(known.plain))
    if options["default"] not in (None, []):
        parts.append(f"default {options['default']}")
    return f"({'; '.join(parts)})" if parts else ""


def _metavar(known: Hint) -> str:
    if known.many:
        return _MANY[known.item][0]
    if known.limit:
        return "N" if known.plain is int else "X"
    if DIGEST in known.notes:
        return "DIGEST|PLACE"
    if URI in known.notes:
        return "PLACE"
    return "AMOUNT" if MEMORY in known.notes else "WORD"


def _reader(known: Hint) -> Callable[[str], object]:
    if known.many:
        return _MANY[known.item][1]
    if DIGEST in known.notes:
        return _stored
    if URI in known.notes:
        return place
    if form := next((note for note in known.notes if isinstance(note, codec.Form)), None):
        return lambda text: _formed(forms.memory_spelled(text) if form is MEMORY else text, form)
    if limit := known.limit:
        words = "a whole number" if known.plain is int else "a number"
        return lambda text: _number(text, limit, known.plain, words)
    return (lambda text: _word(text, known.plain)) if issubclass(known.plain, enum.Enum) else _text


def _take_apart(found: Any) -> Hint:  # noqa: ANN401 -- type hints have no common type
    origin, inner = typing.get_origin(found), typing.get_args(found)
    if origin in (types.UnionType, typing.Union):
        [only] = [one for one in inner if one is not type(None)]
        return dataclasses.replace(_take_apart(only), optional=True)
    return Hint(plain=inner[0], notes=inner[1:]) if origin is Annotated else Hint(plain=found)


def _number(text: str, limit: limits.Range, kind: type, words: str) -> Any:  # noqa: ANN401 -- int or float
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not limit.holds(value):
        raise argparse.ArgumentTypeError(f"{text!r}; expected {words} {limit.accepted}")
    return value


def _formed(text: str, form: codec.Form) -> str:
    if not re.fullmatch(form.pattern, text):
        raise argparse.ArgumentTypeError(f"{text!r}; expected {form.says}")
    return text


def _word(text: str, words: type[enum.Enum]) -> object:
    for word in words:
        if str(word.value).casefold() == text.casefold():
            return word
    raise argparse.ArgumentTypeError(f"{text!r}; expected {_either(words)}")


def _suite(text: str) -> SuiteInput:
    label, _, rest = text.partition("=")
    task, _, where = rest.partition("=")
    if not where:
        form = "expected NAME=TASK=PLACE, such as facts=question-answering=facts.jsonl"
        raise argparse.ArgumentTypeError(f"{text!r}; {form}; TASK is {_either(Task)}")
    return SuiteInput(name=name(label), task=typing.cast("Task", _word(task, Task)), uri=place(where))


def _stored(text: str) -> str:
    return text if re.fullmatch(DIGEST.pattern, text) else place(text)


def _added(text: str) -> AddedResidual:
    rest, transferred, _ = text.rpartition(f"={Transfer.SAME_FAMILY}")
    where, separator, scale = (rest if transferred else text).rpartition("=")
    if not separator:
        form = f"expected PLACE=SCALE, such as safety=0.5, or PLACE=SCALE={Transfer.SAME_FAMILY} where the residual is "
        raise argparse.ArgumentTypeError(f"{text!r}; {form}of another base")
    return AddedResidual(
        residual=_stored(where), scale=_factor(scale), transfer=Transfer.SAME_FAMILY if transferred else None
    )


def _scaled(text: str) -> TensorScale:
    pattern, separator, scale = text.rpartition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r}; expected PATTERN=SCALE, such as '*.mlp.*=0.8'")
    if not re.fullmatch(TENSORS.pattern, pattern):
        raise argparse.ArgumentTypeError(f"{pattern!r}; expected {TENSORS.says}")
    return TensorScale(tensors=pattern, scale=_factor(scale))


def _factor(text: str) -> float:
    return float(_number(text, limits.SCALE, float, "a number"))


def _either(words: Collection[enum.Enum] | type[enum.Enum]) -> str:
    return " or ".join(str(word.value) for word in words)


def _text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; expected a text")
    return text


_MANY: Mapping[type, tuple[str, Callable[[str], object]]] = {
    SuiteInput: ("NAME=TASK=PLACE", _suite),
    AddedResidual: (f"PLACE=SCALE[={Transfer.SAME_FAMILY}]", _added),
    TensorScale: ("PATTERN=SCALE", _scaled),
}
"""How a flag that takes several values spells one."""
