"""Content of models that would run code, or compute and grow without end: it ends early, small and as the user's."""

import json
import os
import pathlib
import pickle
import shutil
import struct
from typing import Any

import pytest
import torch

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh_jobs.models import arithmetic, first_load, instruct_assets, model_config, model_folder, prompts
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.tensors import safetensors_reader
from modelrefresh_jobs.training import checkpointing
from modelrefresh_jobs.weights import lora_folding
from tests.attacks.catalogue import attack
from tests.jobs import builders

BY = "whoever fills a claim"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return builders.tiny_pair(tmp_path_factory.mktemp("pair")).instruct


@pytest.fixture
def model(tmp_path: pathlib.Path, pristine: pathlib.Path) -> pathlib.Path:
    return shutil.copytree(pristine, tmp_path / "model")


class Bomb:
    """A pickle that writes a file when it is opened."""

    def __init__(self, mark: pathlib.Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return pathlib.Path.touch, (self.mark,)


@attack(
    33,
    does="pickles as weights and beside them, Python files, auto_map",
    by=BY,
    ends="refused; never copied, never opened",
)
def test_nothing_of_a_model_is_unpickled_or_run(model: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    instruct_assets.copy(model, tmp_path / "copy")
    assert not (tmp_path / "copy" / "pytorch_model.bin").exists()
    (model / "model.safetensors").rename(model / "model.bin")
    with pytest.raises(StageError, match="pickles"):
        model_folder.accept(model)
    assert not (tmp_path / "ran").exists()


_CODE = [
    ("config.json", {"auto_map": {"AutoModel": "evil.Model"}}),
    ("config.json", {"attn_implementation": "evil-org/evil-kernel"}),
    ("config.json", {"_attn_implementation": "evil-org/evil-kernel"}),
    ("config.json", {"_attn_implementation_internal": "evil-org/evil-kernel@main"}),
    ("config.json", {"experts_implementation": "evil-org/kernel:Layer"}),
    ("config.json", {"text_config": {"attn_implementation": {"": "evil-org/evil"}}}),
    ("config.json", {"kernel_config": {"RMSNorm": "evil-org/evil"}}),
    ("config.json", {"use_kernels": True}),
    ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.T", None]}}),
    ("generation_config.json", {"custom_generate": "evil-org/evil"}),
    ("generation_config.json", {"trust_remote_code": True}),
]


@attack(34, does="keys that make a loader fetch code or kernels", by=BY, ends="refused: would load code")
@pytest.mark.parametrize(("name", "keys"), _CODE, ids=str)
def test_a_key_that_chooses_code_is_refused(model: pathlib.Path, name: str, keys: dict[str, object]) -> None:
    builders.edit_json(model / name, **keys)
    with pytest.raises(StageError, match="would load code"):
        model_folder.accept(model)


@attack(
    34,
    does="keys that no table knows, and harmless kernels' names",
    by=BY,
    ends="contained: they reach no version and no loader",
)
def test_what_is_written_holds_known_keys_only(model: pathlib.Path) -> None:
    odd = {
        "_attn_implementation": "sdpa",
        "_attn_implementation_internal": "sdpa",
        "evil_key": {"a": 1},
        "_name_or_path": "/x",
    }
    builders.edit_json(model / "config.json", **odd)
    config = model_folder.accept(model).config
    assert set(odd).isdisjoint(model_config.written(config))
    assert set(odd).isdisjoint(model_config.served(config, dtype="float32"))
    assert not hasattr(model_config.load(model, config), "evil_key")
    written = model_config.written(config)
    assert written["architectures"] == config["architectures"]
    assert arithmetic.of(written) == arithmetic.of(config)


@attack(
    35,
    does="a model_type of another family, a dtype and a tokenizer_class that are code",
    by=BY,
    ends="refused or plain text: ModelUnreadable",
)
@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("config.json", {"model_type": "bark"}),
        ("config.json", {"hidden_size": "__import__('os').system('id')"}),
        ("tokenizer_config.json", {"tokenizer_class": "os.system"}),
        ("tokenizer_config.json", {"tokenizer_file": "/etc/passwd", "tokenizer_class": 7}),
    ],
    ids=str,
)
def test_a_setting_that_is_code_is_text_at_most(model: pathlib.Path, name: str, keys: dict[str, object]) -> None:
    builders.edit_json(model / name, **keys)
    try:
        model_folder.accept(model)
        prompts.prove(model)
    except StageError as error:
        said = error.reason
    else:
        said = "ModelUnreadable"  # taken as text, and of no effect
    assert said == "ModelUnreadable"


def header(document: object, *, length: int | None = None) -> bytes:
    """A safetensors file of this header and eight bytes of data."""
    text = json.dumps(document).encode() if not isinstance(document, bytes) else document
    return struct.pack("<Q", len(text) if length is None else length) + text + b"\0" * 8


_TWO = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
_HEADERS = [
    header({}, length=2**64 - 1),
    header({}, length=2**63),
    header({"a": _TWO, "b": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]}}),
    header({"a": _TWO, "b": {"dtype": "F32", "shape": [1], "data_offsets": [6, 10]}}),
    header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}),
    header({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}}),
    header(b"[" * 50_000 + b"]" * 50_000),
    header(
        b'{"a": %s, "a": %s}' % ((json.dumps({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}).encode(),) * 2)
    ),
    header({"a": {"dtype": "F32", "shape": [1] * 100_000, "data_offsets": [0, 8]}}),
    header({f"t{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(200_001)}),
    header([1]),
    header("a"),
    b"",
    b"\0" * 7,
]


@attack(
    36,
    37,
    does="headers with odd lengths, offsets, shapes, ranks, names, depth, size",
    by=BY,
    ends="refused: ModelUnreadable",
)
@pytest.mark.parametrize("data", _HEADERS, ids=range(len(_HEADERS)))
def test_a_header_that_lies_is_refused(tmp_path: pathlib.Path, data: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(StageError) as caught:
        safetensors_reader.open_file(tmp_path / "model.safetensors")
    assert (caught.value.reason, caught.value.exit_code) == ("ModelUnreadable", ExitCode.BAD_INPUT)


@attack(37, does="a header of 44 MiB with 700,000 tensors", by=BY, ends="refused before it is parsed")
def test_a_header_beyond_every_model_is_not_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 44 << 20) + b" " * 100)
    with pytest.raises(StageError, match="a header of 46137344 bytes"):
        safetensors_reader.open_file(tmp_path / "model.safetensors")


_TEMPLATES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ messages.append(messages) }}",
    "{% set x = namespace(a=messages) %}{{ x.a[0].pop('content') }}",
    "{{ raise_exception('x') }}",
    "{% for m in messages %}{{ m['content'] }",
]


@attack(
    39,
    does="templates that reach for Python, raise, or change what they are given",
    by=BY,
    ends="refused: ModelUnreadable, at extract and prepare",
)
@pytest.mark.parametrize("template", _TEMPLATES)
def test_a_template_that_reaches_out_is_refused(model: pathlib.Path, template: str) -> None:
    (model / "chat_template.jinja").write_text(template)
    with pytest.raises(StageError) as caught:
        instruct_assets.check(model)
    assert caught.value.reason == "ModelUnreadable"


def _hold(size: int) -> bytes:
    return bytes(size)


@attack(
    40,
    does="templates that compute or grow without end",
    by=BY,
    ends="refused: ModelUnreadable, in a child with limits of time and memory",
)
@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 8000000000 }}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    ],
)
def test_a_template_without_end_ends(model: pathlib.Path, template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "_RENDER_SECONDS", 2.0)
    (model / "chat_template.jinja").write_text(template + "{{ messages[0]['content'] }}")
    with pytest.raises(StageError) as caught:
        first_load.prove(model, lambda: prompts.load(model), seconds=60, size=1 << 30)
    assert caught.value.reason == "ModelUnreadable"


@attack(
    40,
    does="a template that computes without end on some questions only",
    by=BY,
    ends="refused on that question, within seconds",
)
def test_a_template_that_hangs_on_one_question_is_interrupted(
    model: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    text = "{% if 'zzz' in messages[0]['content'] %}" + loop + "{% endif %}{{ messages[0]['content'] }}"
    (model / "chat_template.jinja").write_text(text)
    instruct_assets.check(model)
    monkeypatch.setattr(prompts, "_RENDER_SECONDS", 1.0)
    with pytest.raises(StageError, match="did not finish within 1 s on one question"):
        prompts.load(model).render("a question of zzz")


@attack(
    40,
    does="a library that takes memory without end, or kills its process",
    by=BY,
    ends="refused: the child goes, the stage stays",
)
@pytest.mark.parametrize("work", [lambda: _hold(1 << 34), os.abort])
def test_what_dies_in_the_child_does_not_kill_the_stage(tmp_path: pathlib.Path, work: Any) -> None:  # noqa: ANN401 -- any work
    with pytest.raises(StageError, match="of memory, or crashed"):
        first_load.prove(tmp_path, work, size=1 << 28)


@attack(40, does="work that never ends in the child", by=BY, ends="refused after its time")
def test_the_child_has_an_end(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StageError, match="did not finish within 1 s"):
        first_load.prove(tmp_path, lambda: [None for _ in iter(int, 1)], seconds=1)


@attack(40, does="a tokenizer whose pattern explodes", by=BY, ends="refused: ModelUnreadable, within the child's time")
def test_a_tokenizer_that_explodes_is_refused(model: pathlib.Path) -> None:
    document = json.loads((model / "tokenizer.json").read_text())
    document["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"Regex": "(a|aa|a a)+$(?<=b)"},
        "behavior": "Isolated",
        "invert": False,
    }
    (model / "tokenizer.json").write_text(json.dumps(document))
    try:
        first_load.prove(model, lambda: prompts.load(model).lengths(prompts.HARD_PROBES), seconds=30)
    except StageError as error:
        said = error.reason
    else:
        said = "ModelUnreadable"  # this library's regular expressions gave up by themselves
    assert said == "ModelUnreadable"


@attack(41, does="a pattern of an adapter that explodes on a module's name", by=BY, ends="refused within seconds")
def test_a_pattern_of_an_adapter_has_an_end() -> None:
    assert lora_folding._MATCH_SECONDS <= 5  # noqa: SLF001 -- the limit is the claim


@attack(
    28,
    does="a checkpoint of a training that holds a pickle with code",
    by="a pod with nothing but the workspace claim",
    ends="refused: nothing runs; the next attempt takes the one before",
)
def test_nothing_of_a_checkpoint_runs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "")
    checkpointing.unpickle_nothing()
    point = tmp_path / "checkpoint-5"
    point.mkdir()
    torch.save({"state": Bomb(tmp_path / "ran")}, point / "mp_rank_00_model_states.pt")
    with pytest.raises(StageError) as caught, checkpointing.resuming(point):
        torch.load(point / "mp_rank_00_model_states.pt", weights_only=False)
    assert (caught.value.exit_code, point.exists(), (tmp_path / "ran").exists()) == (ExitCode.TRANSIENT, False, False)
