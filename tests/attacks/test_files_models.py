"""Files below a source that are not what they seem: links, devices, pipes; and messages that would carry them."""

import gzip
import logging
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator

import pytest

from modelrefresh.contract import result, stage_request
from modelrefresh.contract.stages.evaluate import SuiteInput
from modelrefresh.contract.stages.import_ import ImportInput
from modelrefresh.contract.vocabulary import Stage, Task
from modelrefresh_jobs import __main__ as entry
from modelrefresh_jobs.attempt import record, stage_module
from modelrefresh_jobs.corpus.reading import data_files, documents
from modelrefresh_jobs.evaluation import suites
from modelrefresh_jobs.process import guarded_files, progress
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import run_folders, sources
from tests.attacks.catalogue import attack
from tests.jobs import builders

CANARY = "hf_CANARYTOKEN0123456789abcdefghijkl"
FILLS = "whoever fills a claim"
WRITES = "whoever may write a ModelRefresh"
_RECORD = '{"text": "a text of some length about rivers and towns"}\n'
_SUITE = SuiteInput(name="facts", uri="pvc://models/evals/facts.jsonl", task=Task.QUESTION_ANSWERING)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return builders.tiny_pair(tmp_path_factory.mktemp("pair")).instruct


@pytest.fixture
def place(tmp_path: pathlib.Path, pristine: pathlib.Path) -> pathlib.Path:
    """Two claims; the second holds what the first must not show, and beside them lies a secret."""
    claim = tmp_path / "sources" / "models"
    shutil.copytree(pristine, claim / "public" / "chat")
    (claim / "public" / "corpus").mkdir()
    (claim / "evals").mkdir()
    (claim / "private").mkdir()
    (claim / "public" / "corpus" / "a.jsonl").write_text(_RECORD)
    (claim / "private" / "salaries.jsonl").write_text(f'{{"text": "{CANARY} of somebody else"}}\n')
    other = tmp_path / "sources" / "payroll"
    other.mkdir()
    (other / "db.conf").write_text(f"password={CANARY}\n")
    (tmp_path / "secret").write_text(CANARY)
    return tmp_path


def asks(place: pathlib.Path, *allowed: str) -> stage_request.StageRequest:
    """A request that may read below these prefixes."""
    asked = ImportInput(instruct="pvc://models/public/chat")
    return stage_request.StageRequest(
        stage=Stage.IMPORT, owner="chat", run="r1", workspace=str(place / "workspace"),
        sources=str(place / "sources"), allowed=allowed, section=asked,
    )  # fmt: skip


def read(place: pathlib.Path, uri: str = "pvc://models/public/corpus") -> list[str]:
    """The texts of a corpus."""
    found = data_files.find(
        sources.resolve(uri, run_folders.of(asks(place, "pvc://models/public")), reason="DataUnreadable")
    )
    return [document.text for document in documents.read(found.files, text_field="text")]


def _secret(place: pathlib.Path) -> pathlib.Path:
    return place / "secret"


def _other_claim(place: pathlib.Path) -> pathlib.Path:
    return place / "sources" / "payroll" / "db.conf"


def _sibling(place: pathlib.Path) -> pathlib.Path:
    return place / "sources" / "models" / "private" / "salaries.jsonl"


OUTSIDE = [_secret, _other_claim, _sibling]


@attack(
    30,
    does="a document that links to a secret, another claim, a forbidden sibling",
    by=FILLS,
    ends="refused: DataUnreadable",
)
@pytest.mark.parametrize("leads", OUTSIDE)
@pytest.mark.parametrize("name", ["b.jsonl", "b.txt", "b.json", "b.jsonl.gz", "b.parquet", "deep/b.txt"])
def test_a_document_that_leads_out_is_refused(
    place: pathlib.Path, leads: Callable[[pathlib.Path], pathlib.Path], name: str
) -> None:
    link = place / "sources" / "models" / "public" / "corpus" / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(leads(place))
    with pytest.raises(StageError, match="leads out of the source") as caught:
        read(place)
    assert (caught.value.reason, CANARY in str(caught.value)) == ("DataUnreadable", False)


_MODEL_FILES = [
    "config.json", "LICENSE", "NOTICE.txt", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
    "chat_template.jinja", "model.safetensors", "additional_chat_templates/tool.jinja", "model.safetensors.index.json",
    "vocab.txt", "README.md",
]  # fmt: skip


@attack(
    30,
    does="a file of a model that links to a secret, another claim, a forbidden sibling",
    by=FILLS,
    ends="refused: ModelUnreadable",
)
@pytest.mark.parametrize("leads", OUTSIDE)
@pytest.mark.parametrize("name", _MODEL_FILES)
def test_a_file_of_a_model_that_leads_out_is_refused(
    place: pathlib.Path, leads: Callable[[pathlib.Path], pathlib.Path], name: str
) -> None:
    link = place / "sources" / "models" / "public" / "chat" / name
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(leads(place))
    with pytest.raises(StageError, match="leads out of the source") as caught:
        sources.resolve("pvc://models/public/chat", run_folders.of(asks(place, "pvc://models/public")))
    assert CANARY not in str(caught.value)


@attack(30, does="a suite that links to a secret, another claim", by=FILLS, ends="refused: EvaluationUnreadable")
@pytest.mark.parametrize("leads", OUTSIDE)
def test_a_suite_that_leads_out_is_refused(place: pathlib.Path, leads: Callable[[pathlib.Path], pathlib.Path]) -> None:
    (place / "sources" / "models" / "evals" / "facts.jsonl").symlink_to(leads(place))
    with pytest.raises(StageError, match="leads out") as caught:
        suites.load(_SUITE, run_folders.of(asks(place, "pvc://models/evals")))
    assert (caught.value.reason, CANARY in str(caught.value)) == ("EvaluationUnreadable", False)


@attack(
    30,
    does="an exchange of a file for a link between the look and the opening",
    by=FILLS,
    ends="refused when it is open",
)
def test_a_file_that_was_exchanged_after_the_look_is_not_read(place: pathlib.Path) -> None:
    with guarded_files.guarding(place / "workspace"):
        folder = sources.resolve(
            "pvc://models/public/corpus", run_folders.of(asks(place, "pvc://models/public")), reason="DataUnreadable"
        )
        found = data_files.find(folder)
        (folder / "a.jsonl").unlink()
        (folder / "a.jsonl").symlink_to(place / "secret")
        with pytest.raises(StageError, match="leads out of the source") as caught:
            list(documents.read(found.files, text_field="text"))
    assert CANARY not in str(caught.value)


@attack(30, does="links that stay inside, as in a snapshot of the hub", by="an honest user", ends="read")
def test_links_that_stay_inside_are_read(place: pathlib.Path) -> None:
    claim = place / "sources" / "models"
    blobs = claim / "public" / "blobs"
    blobs.mkdir()
    for file in list((claim / "public" / "chat").iterdir()):
        if file.is_file():
            file.rename(blobs / file.name)
            file.symlink_to(pathlib.Path("..") / "blobs" / file.name)
    with guarded_files.guarding(place / "workspace"):
        summary = stage_module.run(asks(place, "pvc://models/public"), progress.Progress(stage="import"))
    assert (place / "workspace" / "versions" / summary.digest / "config.json").is_file()


@attack(31, does="a link as the URI itself, a linked folder in a corpus", by=FILLS, ends="refused; not followed")
def test_a_source_that_is_a_link_out_is_refused_and_a_linked_folder_not_followed(place: pathlib.Path) -> None:
    claim = place / "sources" / "models" / "public"
    (claim / "way").symlink_to(place / "sources" / "payroll")
    (claim / "corpus" / "inner").symlink_to(claim / "chat")
    for uri in ("pvc://models/public/way", "pvc://models/public/way/db.conf", "pvc://models/public/way/none"):
        with pytest.raises(StageError, match="leads out of the allowed source"):
            read(place, uri)
    assert len(read(place)) == 1


@attack(30, does="the allowed folder itself exchanged for a link to a forbidden sibling", by=FILLS, ends="refused")
def test_an_allowed_folder_that_became_a_link_opens_nothing(place: pathlib.Path) -> None:
    claim = place / "sources" / "models"
    shutil.rmtree(claim / "public")
    (claim / "public").symlink_to("private")
    for uri in ("pvc://models/public", "pvc://models/public/salaries.jsonl"):
        with pytest.raises(StageError, match="leads out of the allowed source") as caught:
            read(place, uri)
        assert CANARY not in str(caught.value)


@attack(31, does="FIFO, socket, device in the place of files", by=FILLS, ends="refused at once; nothing waits")
@pytest.mark.parametrize("name", ["corpus/b.jsonl", "chat/tokenizer.json", "chat/unheard.of"])
def test_what_is_no_file_is_refused_and_nobody_waits_for_it(place: pathlib.Path, name: str) -> None:
    path = place / "sources" / "models" / "public" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with pytest.raises(StageError, match="no regular file"):
        read(place) if name.startswith("corpus") else sources.resolve(
            "pvc://models/public/chat", run_folders.of(asks(place))
        )
    with pytest.raises(StageError, match="no regular file"):
        guarded_files.opened(path)


@attack(
    32,
    does="any file of a claim named as data or suite, to read it in the answer",
    by=WRITES,
    ends="refused: no bytes, no names beyond the prefix",
)
@pytest.mark.parametrize("uri", ["pvc://payroll/db.conf", "pvc://payroll/none", "pvc://models/private/salaries.jsonl"])
def test_what_is_not_allowed_is_not_told_of(place: pathlib.Path, uri: str) -> None:
    with pytest.raises(StageError, match="not among the allowed sources") as caught:
        read(place, uri)
    assert not any(word in str(caught.value) for word in (CANARY, "holds", "does not exist"))


@attack(
    32,
    does="a file that is no data or suite within what is allowed",
    by=WRITES,
    ends="refused by its name; its lines are never repeated",
)
def test_an_allowed_file_of_another_kind_says_nothing_of_itself(place: pathlib.Path) -> None:
    claim = place / "sources" / "models" / "public" / "corpus"
    (claim / "db.conf").write_text(f"password={CANARY}\n")
    (claim / "b.jsonl").write_text(f"password={CANARY}\n" * 3)
    (claim / "c.jsonl").write_text(f'{{"{CANARY}": 1}}\n')
    (place / "sources" / "models" / "evals" / "facts.jsonl").write_text(f"password={CANARY}\n")
    for uri in (
        "pvc://models/public/corpus/db.conf",
        "pvc://models/public/corpus",
        "pvc://models/public/corpus/c.jsonl",
    ):
        with pytest.raises(StageError) as caught:
            read(place, uri)
        assert CANARY not in str(caught.value)
    with pytest.raises(StageError) as caught:
        suites.load(_SUITE, run_folders.of(asks(place)))
    assert CANARY not in str(caught.value)


_QUESTIONS = [
    f"{CANARY}\n", f'{{"{CANARY}": 1}}\n', f'{{"question": "q", "{CANARY}": 2}}\n',
    f'{{"question": 7, "answer": "{CANARY}"}}\n', f'{{"question": "q", "answer": "a", "id": ["{CANARY}"]}}\n',
    f'{{"question": "q", "answer": "a", "pattern": "({CANARY}"}}\n',
    '{"question": "q", "answer": "a", "id": "x"}\n' * 2,
    f'{{"question": "q", "answer": "a", "pattern": "{CANARY}"}}\n', f'["{CANARY}"]\n', f'"{CANARY}\n',
]  # fmt: skip


@attack(
    32,
    does="lines of a suite that break in every way, to read them in the answer",
    by=WRITES,
    ends="refused: file, line and kind of fault only",
)
@pytest.mark.parametrize("text", _QUESTIONS)
def test_no_line_of_a_suite_is_repeated(place: pathlib.Path, text: str) -> None:
    (place / "sources" / "models" / "evals" / "facts.jsonl").write_text(text)
    with pytest.raises(StageError) as caught:
        suites.load(_SUITE, run_folders.of(asks(place)))
    assert CANARY not in str(caught.value)


@attack(
    38, does="an index that names /etc/passwd, ../ or a secret as a shard", by=FILLS, ends="refused: ModelUnreadable"
)
@pytest.mark.parametrize("shard", ["/etc/passwd", "../../private/salaries.jsonl", "..", "a/../../b", ""])
def test_an_index_names_files_of_its_folder_only(place: pathlib.Path, shard: str) -> None:
    folder = place / "sources" / "models" / "public" / "chat"
    (folder / "model.safetensors").unlink()
    builders.write_json(folder / "model.safetensors.index.json", {"weight_map": {"a": shard}})
    with pytest.raises(StageError) as caught:
        stage_module.run(asks(place), progress.Progress(stage="import"))
    assert caught.value.reason == "ModelUnreadable"


@pytest.fixture
def announced(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """Where the termination message goes; no port is opened."""
    monkeypatch.setenv(record.TERMINATION_VARIABLE, str(tmp_path / "termination"))
    monkeypatch.setattr(progress, "serve", lambda *_, **__: None)
    return tmp_path / "termination"


@attack(
    30,
    32,
    does="a secret behind every name of a model folder, through the whole import stage",
    by=FILLS,
    ends="contained: it is nowhere a tenant reads",
)
@pytest.mark.parametrize("name", ["LICENSE", "tokenizer.json", "config.json", "special_tokens_map.json"])
def test_a_secret_reaches_no_log_no_message_no_file(
    place: pathlib.Path, announced: pathlib.Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    link = place / "sources" / "models" / "public" / "chat" / name
    link.unlink(missing_ok=True)
    link.symlink_to(place / "secret")
    with caplog.at_level(logging.DEBUG):
        ended = entry.attempt(asks(place, "pvc://models/public"), nonce="n" * 32)
    files = [path.read_bytes() for path in (place / "workspace").rglob("*") if path.is_file()]
    seen = [
        result.render(ended),
        caplog.text,
        announced.read_text(),
        *(data.decode(errors="replace") for data in files),
    ]
    assert ended.reason == "ModelUnreadable"
    assert not any(CANARY in text for text in seen)


@attack(
    30,
    does="a copied secret as tokenizer, config or index, to read it in a parser's error",
    by=FILLS,
    ends="contained: kind and place of the fault only",
)
@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "generation_config.json", "tokenizer_config.json"])
def test_a_parser_of_a_library_does_not_quote_the_file(
    place: pathlib.Path, announced: pathlib.Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = place / "sources" / "models" / "public" / "chat" / name
    for text in (CANARY, f'{{"{CANARY}": "{CANARY}"}}', f'{{"model_type": "{CANARY}", "version": "{CANARY}"}}'):
        file.write_text(text)
        with caplog.at_level(logging.DEBUG):
            ended = entry.attempt(asks(place))
        assert CANARY not in f"{ended.message}{caplog.text}{announced.read_text()}"


@attack(42, does="a packed line of gigabytes", by=FILLS, ends="refused: DataUnreadable, before it is held")
def test_a_line_without_end_is_not_held(place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelrefresh_jobs.corpus.reading.data_streams.LIMIT", 1 << 20)
    with gzip.open(place / "sources" / "models" / "public" / "corpus" / "b.jsonl.gz", "wb") as file:
        file.write(b'{"text": "' + b"a" * (4 << 20) + b'"}\n')
    with pytest.raises(StageError, match="a line of more than"):
        read(place)
