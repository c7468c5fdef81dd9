"""docs/by-hand.md stays true: its commands run on tiny models and print the lines that it shows."""

import pathlib
import re
import shlex
import subprocess
import sys

from modelrefresh_jobs.storage import sealed
from tests.jobs import builders, corpora

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "by-hand.md"


def steps() -> list[tuple[list[str], list[str]]]:
    """Each command of the page with the keys of the lines below it."""
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    commands = [command.splitlines() for block in blocks for command in block.split("$ ")[1:]]
    return [(shlex.split(first)[1:], [line.partition(": ")[0] for line in shown]) for first, *shown in commands]


def test_the_commands_of_the_page_lead_from_a_pair_and_new_text_to_a_model_and_its_scores(
    tmp_path: pathlib.Path,
) -> None:
    builders.tiny_pair(tmp_path)
    sentences = corpora.sentences(80)
    corpora.texts(tmp_path / "news.jsonl", sentences[:60])
    corpora.write(tmp_path / "facts.jsonl", [{"question": one[:20], "answer": "yes"} for one in sentences[60:]])
    seen = []
    for words, keys in steps():
        command = [sys.executable, "-m", "modelrefresh_jobs", *words]
        ran = subprocess.run(command, env=builders.shell(), cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        printed = dict.fromkeys(line.partition(": ")[0] for line in ran.stdout.splitlines())
        assert [key for key in printed if key in keys] == keys
        seen.append(words[0])
    assert seen == ["extract", "prepare", "train", "merge", "evaluate"]
    assert sealed.is_sealed(tmp_path / "new")
    assert (
        len((tmp_path / "workspace/runs/by-hand/by-hand/evaluate/records/facts.jsonl").read_text().splitlines()) == 20
    )
