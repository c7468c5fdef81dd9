"""`plan` by hand: the tables of docs/howto/gpus.md are what it prints, and it wants nothing but a config.json."""

import json
import pathlib
import re
import shlex

import pytest

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh_jobs.by_hand import cli
from tests.jobs.by_hand.test_cli import Shell
from tests.jobs.memory import count

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "howto" / "gpus.md"
FOLDERS = {"qwen2.5-0.5b": "0.5 B", "llama-3-8b": "8 B", "llama-3-70b": "70 B"}


@pytest.fixture
def shell(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for folder, release in FOLDERS.items():
        config = count.RELEASES[release]
        config.architectures = [f"{type(config).__name__.removesuffix('Config')}ForCausalLM"]
        config.save_pretrained(tmp_path / folder)
    return Shell(tmp_path, monkeypatch)


def shown() -> list[tuple[str, str]]:
    """The commands of the page, each with what it prints."""
    blocks = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [(command, printed) for command, printed in blocks if " plan " in command]


@pytest.mark.parametrize(("command", "printed"), shown(), ids=[command for command, _ in shown()])
def test_the_page_shows_what_the_command_prints(shell: Shell, command: str, printed: str) -> None:
    assert shell.run(*shlex.split(command)[1:]) == ExitCode.OK
    assert shell.printed == printed


def test_the_page_shows_a_small_a_middle_and_a_large_model() -> None:
    assert {name for name in FOLDERS if any(f" {name} " in command for command, _ in shown())} == set(FOLDERS)


def test_as_json_it_gives_bytes_of_the_given_number_and_of_the_fewest(shell: Shell) -> None:
    found = shell.result("plan", "--model", "llama-3-8b", "--method", "Full", "--gpus", 2, "--gpu-memory", "40Gi")
    assert found["weights"] == found["trained"] == 8_030_261_248
    assert [way["gpus"] for way in found["ways"]] == sorted({2, found["fewest"]})
    assert all(way["bytes"]["peak"] <= 0.9 * (40 << 30) for way in found["ways"] if way["fits"])


@pytest.mark.parametrize(
    ("written", "meant"), [("80gb", "80GB"), ("80 GB", "80GB"), (" 80 gib ", "80GiB"), ("80G", "80G"), ("80gI", "80Gi")]
)
def test_memory_is_understood_as_people_write_it(written: str, meant: str) -> None:
    assert cli.parser().parse_args(["plan", "--model", "m", "--gpu-memory", written]).gpu_memory == meant


def test_a_configuration_without_sizes_is_refused_and_the_missing_keys_are_named(shell: Shell) -> None:
    bare = pathlib.Path("bare")
    bare.mkdir()
    known = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "vocab_size": 512}
    (bare / "config.json").write_text(json.dumps(known))
    ended = shell.result("plan", "--model", "bare")
    assert (ended["exit_code"], ended["reason"]) == (ExitCode.BAD_INPUT, "ModelUnreadable")
    assert "lacks intermediate_size, num_attention_heads, num_hidden_layers" in ended["message"]


@pytest.mark.parametrize(
    ("words", "reason", "expected"),
    [
        ("plan --model nothing", "ModelUnreadable", "does not exist"),
        ("plan --model .", "ModelUnreadable", "config.json: missing"),
        ("plan --model m --gpu-memory much", "InputInvalid", "such as 80Gi or 80GB"),
        ("plan --model m --gpu-memory 0.1Gi", "InputInvalid", "a number from 1 and one of M, MB, Mi, MiB, G, GB"),
        ("plan --model m --gpu-memory 80", "InputInvalid", "one of M, MB, Mi, MiB, G, GB, Gi, GiB, T, TB, Ti, TiB"),
        ("plan --model m --gpus 0", "InputInvalid", "from 1 to 1024"),
    ],
)
def test_what_cannot_be_planned_is_a_result_too(shell: Shell, words: str, reason: str, expected: str) -> None:
    ended = shell.result(*words.split())
    assert (ended["exit_code"], ended["reason"]) == (ExitCode.BAD_INPUT, reason)
    assert expected in ended["message"]
