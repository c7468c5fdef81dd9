"""What the stages read: data, suites, models, adapters, residuals, sealed folders and what an attempt left."""

import json
import pathlib
import shutil
from typing import Any

import peft
import transformers

from modelrefresh.contract import artifacts, result
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.stages.extract import ExtractInput
from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh.contract.vocabulary import Method, Stage, Strategy, Task
from modelrefresh_jobs import preflight
from modelrefresh_jobs.attempt import record
from modelrefresh_jobs.corpus import packing, scan
from modelrefresh_jobs.corpus.reading import data_files, documents
from modelrefresh_jobs.evaluation import suites
from modelrefresh_jobs.models import model_folder, prompts
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.stages import extract
from modelrefresh_jobs.storage import run_folders, sealed
from modelrefresh_jobs.tensors.safetensors_reader import Reader
from modelrefresh_jobs.training import checkpointing, progress_file  # fmt: skip
from modelrefresh_jobs.weights import candidate, lora_folding, trained_weights
from modelrefresh_jobs.weights.merge_sources import MergeSources
from tests.fuzz import corpus
from tests.fuzz.targets import Target
from tests.jobs import builders, corpora

_COMPANIONS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "chat_template.jinja",
    "config.json",
)
_MADE_FROM = {"blocks": "b", "settings": "s"}


def targets(root: pathlib.Path) -> list[Target]:
    """All readers of the stages; makes the tiny models and folders that they read."""
    pair = builders.tiny_pair(root / "models")
    return [*_data(root), *_asked(root, pair), *_weights(root, pair), *_residual(root, pair), *_left(root)]


def _data(root: pathlib.Path) -> list[Target]:
    folder = root / "data"
    folder.mkdir()
    for name, content in corpus.whole().items():
        (folder / name).write_bytes(content)
    (root / "suites").mkdir()
    (root / "suites" / "facts.jsonl").write_bytes(corpus.suite())

    def read(name: str) -> None:
        found = data_files.find(folder / name)
        scan.of(documents.read(found.files, text_field="text"), today=corpora.TODAY)

    def suite(name: str) -> None:
        request, refused = builders.request(root, Stage.EVALUATE), None
        for task in Task:
            try:
                suites.load(corpora.suite(root / "suites" / name, task=task), run_folders.of(request))
            except StageError as error:
                refused = error
        if refused:
            raise refused

    return [
        Target(name="documents", folder=folder, files=tuple(corpus.whole()), use=read, weight=6),
        Target(name="suites", folder=root / "suites", files=("facts.jsonl",), use=suite, weight=3),
    ]


def _asked(root: pathlib.Path, pair: builders.Pair) -> list[Target]:
    folder = root / "asked"
    shutil.copytree(pair.instruct, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    start = root / "start"
    shutil.copytree(pair.base, start)
    asked = PrepareInput(base=builders.uri(start), data="", sequence_length=32, max_tokens=1000)
    request = builders.request(root, Stage.PREPARE, section=asked)

    def ask(_name: str) -> None:
        model_folder.refuse_code(folder)
        prompts.load(folder).require_fit("suite facts", ["who?", "what is it\nin two lines"], max_new_tokens=8)

    small = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
    return [
        Target(name="instruct model's small files", folder=folder, files=_COMPANIONS, use=ask, weight=3),
        Target(
            name="start model's small files",
            folder=start,
            files=small,
            use=lambda _: preflight.check(request.section, run_folders.of(request), builders.quiet(Stage.PREPARE)),
            weight=2,
        ),
    ]


def _weights(root: pathlib.Path, pair: builders.Pair) -> list[Target]:
    whole, sharded = root / "whole", root / "sharded"
    shutil.copytree(pair.base, whole)
    builders.resharded(pair.base, sharded)
    shards = tuple(path.name for path in sorted(sharded.glob("*.safetensors"))[:2])
    start, folder = model_folder.accept(pair.base), root / "adapter"
    _save_adapter(pair.base, folder)

    def pass_over(base: pathlib.Path) -> None:
        wanted = ExtractInput(base=builders.uri(base), instruct=builders.uri(pair.instruct))
        request = builders.request(root / "extracts", Stage.EXTRACT, section=wanted)
        made = extract.run(request.section, run_folders.of(request), builders.quiet(Stage.EXTRACT))
        shutil.rmtree(builders.workspace_of(root / "extracts").residual(made.digest))

    def fold(_name: str) -> None:
        fitted = lora_folding.accept(folder, start)
        with Reader() as reader:
            for factors in fitted.folded.values():
                lora_folding.load(factors, reader)

    index = (*shards, "model.safetensors.index.json", "config.json")
    return [
        Target(
            name="one file of weights",
            folder=whole,
            files=("config.json", "model.safetensors"),
            use=lambda _: pass_over(whole),
            weight=2,
        ),
        Target(
            name="shards and index",
            folder=sharded,
            files=index,
            use=lambda _: model_folder.fingerprint(sharded),
            weight=2,
        ),
        Target(
            name="adapter",
            folder=folder,
            files=("adapter_config.json", "adapter_model.safetensors"),
            use=fold,
            weight=3,
        ),
        Target(
            name="training's model",
            folder=whole,
            files=("config.json", "model.safetensors"),
            use=lambda _: trained_weights.accept(whole, start),
        ),
    ]


def _save_adapter(base: pathlib.Path, folder: pathlib.Path) -> None:
    settings = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", alpha_pattern={"q_proj": 4}
    )
    peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(base), settings).save_pretrained(folder)


def _residual(root: pathlib.Path, pair: builders.Pair) -> list[Target]:
    request = builders.request(
        root,
        Stage.EXTRACT,
        section=ExtractInput(base=builders.uri(pair.base), instruct=builders.uri(pair.instruct)),
    )
    stored = builders.workspace_of(root).residual(
        extract.run(request.section, run_folders.of(request), builders.quiet(Stage.EXTRACT)).digest
    )
    plain = shutil.copytree(stored, root / "resealed")
    manifest = (plain / artifacts.MANIFEST).read_bytes()
    names = sorted(path.relative_to(stored).as_posix() for path in stored.rglob("*") if path.is_file())
    asked = PrepareInput(
        base=builders.uri(pair.base), data="", sequence_length=32, max_tokens=1000, residual=stored.name
    )
    prepare = builders.request(root, Stage.PREPARE, section=asked)
    resealed = [name for name in names if name.endswith((".json", ".safetensors")) and name != artifacts.MANIFEST]

    def check(_name: str) -> None:
        preflight.check_bytes(preflight.check(prepare.section, run_folders.of(prepare), builders.quiet(Stage.PREPARE)))

    def store(_name: str) -> None:
        (plain / artifacts.MANIFEST).unlink()
        sealed.seal(sealed.Draft(path=plain, kind="residual", parents={}), target=plain)
        try:
            given = MergeSources(
                start=pair.base,
                trained=pair.trained,
                residual=plain,
                strategy=Strategy.RESIDUAL,
                scale=1.0,
            )
            with sealed.draft(root / "merged", kind="version", label="m") as made:
                candidate.store(given, made, progress=builders.quiet(Stage.MERGE), target=root / "merged" / "v")
            shutil.rmtree(root / "merged" / "v")
        finally:
            (plain / artifacts.MANIFEST).write_bytes(manifest)

    return [
        Target(name="stored residual", folder=stored, files=tuple(names), use=check, weight=2),
        Target(
            name="stored residual, sealed anew",
            folder=plain,
            files=tuple(resealed),
            use=store,
            places=(plain.name,),
            weight=2,
        ),
    ]


def _left(root: pathlib.Path) -> list[Target]:
    corpora.prepared(root, root / "models" / "base")
    request = builders.request(
        root,
        Stage.TRAIN,
        section=TrainInput(start="file:///b", method=Method.LORA, sequence_length=32),
    )
    places = run_folders.of(request)
    point = places.checkpoints / "checkpoint-5"
    point.mkdir(parents=True)
    (point / "trainer_state.json").write_text("{}")
    checkpointing.seal(places.checkpoints, at=5, parents=_MADE_FROM)
    progress_file.write(places.position, builders.quiet(Stage.TRAIN), parents=_MADE_FROM)
    ended = result.Result(stage=Stage.TRAIN, run="r1", attempt=1, exit_code=ExitCode.OK)
    record.write(request, ended)
    blocks = builders.workspace_of(root).stage("chat", "r1", Stage.PREPARE) / "blocks"
    arrays = tuple(sorted(path.name for path in blocks.iterdir() if path.suffix in (".npy", ".json")))

    def resume(_name: str) -> None:
        progress_file.read(places.position)
        checkpointing.newest(places.checkpoints, parents=_MADE_FROM, warn=lambda _: None)
        record.earlier(request)
        json.dumps(request.attempt)

    def pack(_name: str) -> Any:  # noqa: ANN401 -- what stages make of it
        return packing.load(blocks)

    files = ("progress.json", "checkpoints/checkpoint-5/manifest.json", record.REQUEST, artifacts.RESULT)
    return [
        Target(
            name="what an attempt left", folder=places.position.parent, files=files, use=resume, total=True, weight=3
        ),
        Target(name="packed blocks", folder=blocks, files=arrays, use=pack, weight=2),
    ]
