"""Stage `prepare` over texts of several sizes, on one core and on all, beside the usual way with kept libraries.

Everyone is a process of its own, from the command to the finished blocks, with the data in the page cache. What a run
over a few documents takes (imports, proofs, loading) is shown as a row and taken off where tokens per CPU second are
compared, so that they tell how cost grows with the data.
"""

import json
import os
import pathlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import checkpoints, corpora, measured, tables
from benchmarks.checkpoints import Shape
from benchmarks.measured import Cost

ROOT = pathlib.Path(__file__).parents[1]
MILLIONS = (10, 30, 100)
_CHARACTERS_PER_TOKEN, _FEW = 4.66, 100_000
_SHAPE = Shape(hidden=64, inner=256, vocabulary=corpora.VOCABULARY, layers=1)
OURS, USUAL = "ModelRefresh", "datasets, tokenizers, rensa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One run of one program."""

    name: str
    cores: int
    documents: int
    tokens: int
    """In the blocks."""
    cost: Cost


def run(folder: pathlib.Path, *, millions: Sequence[int] = MILLIONS, others: bool = True) -> list[Figure]:
    """All sizes, the smallest first; the first of each program is the run over few documents."""
    print("bench: texts and a tokenizer", flush=True)
    texts = corpora.paragraphs()
    base = checkpoints.make(folder, _SHAPE).base
    corpora.tokenizer(texts).save(str(base / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin|>", "eos_token": "<|end|>"}
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    figures = []
    for size in (_FEW, *(int(_CHARACTERS_PER_TOKEN * 1e6 * million) for million in millions)):
        documents = corpora.write(folder / "data", texts, characters=size)
        for cores in (1, os.cpu_count() or 1):
            for name in (OURS, USUAL) if others else (OURS,):
                cost, tokens = _measured(name, folder, base, cores)
                figures.append(Figure(name=name, cores=cores, documents=documents, tokens=tokens, cost=cost))
                print(f"bench: so far\n\n{render(figures)}\n", flush=True)
        shutil.rmtree(folder / "data")
    return figures


def render(figures: Sequence[Figure]) -> str:
    """The table."""
    starts: dict[tuple[str, int], Cost] = {}
    first: dict[tuple[str, int], float] = {}
    rows = []
    for one in figures:
        key, cpu = (one.name, one.cores), one.cost.cpu
        began = starts.setdefault(key, one.cost)
        rate = (one.tokens / (cpu - began.cpu)) if cpu > began.cpu else 0.0
        rows.append(
            [
                f"{one.name}, {one.cores} core{'s' if one.cores > 1 else ''}",
                f"{one.documents:,}",
                f"{one.tokens / 1e6:.1f}",
                f"{one.cost.wall:.1f}",
                f"{cpu:.1f}",
                f"{rate:,.0f}" if rate else "",
                f"{first.setdefault(key, rate) / rate:.2f}" if rate else "",
                f"{one.cost.anonymous / measured.MB:,.0f}",
            ]
        )
    head = (
        "program",
        "documents",
        "million tokens",
        "wall s",
        "CPU s",
        "tokens per CPU s, start taken off",
        "CPU per token, x the smallest",
        "anonymous MB",
    )
    return f"One run of each.\n\n{tables.table(head, rows)}"


def _measured(name: str, folder: pathlib.Path, base: pathlib.Path, cores: int) -> tuple[Cost, int]:
    out, log = folder / "out", folder / "log"
    out.mkdir()
    places = ("--base", str(base), "--data", str(folder / "data"), "--workspace", str(out))
    budget = ("--max-tokens", str(10**10))
    ours = (sys.executable, "-m", "modelrefresh_jobs", "prepare", *places, *budget, "--json")
    tokenizer = str(base / "tokenizer.json")
    usual = (sys.executable, "-m", "benchmarks.usual_way", str(folder / "data"), tokenizer, str(out), str(cores))
    bound = ("taskset", "--cpu-list", f"0-{cores - 1}")
    cost = measured.run((*bound, *(ours if name == OURS else usual)), log=log, environment=_environment(cores))
    tokens = _said(log.read_text(), '"tokens"' if name == OURS else "tokens")
    shutil.rmtree(out)
    os.sync()
    return cost, tokens


def _said(log: str, key: str) -> int:
    lines = (line.strip().rstrip(",").partition(": ") for line in log.splitlines())
    return next(int(value) for name, _, value in lines if name == key and value.isdecimal())


def _environment(cores: int) -> Mapping[str, str]:
    paths = os.pathsep.join(str(path) for path in (ROOT / "operator", ROOT / "images/jobs", ROOT))
    threads = {"OMP_NUM_THREADS": str(cores), "TOKENIZERS_PARALLELISM": "false"}
    return dict(os.environ) | threads | {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
