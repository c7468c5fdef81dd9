"""Whatever becomes of a data file, reading it ends with documents or with the file's name."""

import gzip
import io
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelrefresh_jobs import data_files, documents, survey
from modelrefresh_jobs.failures import StageError
from tests.fuzz import mutations
from tests.jobs import corpora

_DATES = ("2026-01-01", "2025-12-31T23:59:59+05:30", "1999-01-01T00:00:00", "")


def whole() -> dict[str, bytes]:
    """A file of each kind, with texts of several scripts and dates of several forms."""
    texts = [*corpora.sentences(20), "今天天气很好我们去公园散步。" * 3, "Straße, café, naïve 🙂 and more words here"]
    records = [{"text": text, "date": _DATES[index % 4], "n": index} for index, text in enumerate(texts)]
    lines = "".join(json.dumps(record, ensure_ascii=index % 2 == 0) + "\n" for index, record in enumerate(records))
    return {
        "lines.jsonl": lines.encode(),
        "lines.ndjson.gz": gzip.compress(lines.encode(), mtime=0),
        "lines.JSONL.zst": pa.compress(lines.encode(), codec="zstd", asbytes=True),
        "array.json": json.dumps(records, indent=1).encode(),
        "one.json.gz": gzip.compress(json.dumps(records[0]).encode(), mtime=0),
        "text.txt": "\n\n".join(texts).encode(),
        "text.txt.zst": pa.compress("\n\n".join(texts).encode(), codec="zstd", asbytes=True),
        "plain.parquet": parquet(texts, compression="none", use_dictionary=False),
        "packed.parquet": parquet(texts, compression="zstd", use_dictionary=True),
    }


def parquet(texts: list[str], **settings: object) -> bytes:
    table = pa.table(
        {
            "text": texts,
            "timestamp": pa.array([1_700_000_000 + index for index in range(len(texts))], pa.timestamp("s")),
            "published": pa.array(list(range(len(texts))), pa.date32()),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **settings)
    return buffer.getvalue()


def outcome(path: pathlib.Path) -> survey.Survey | StageError:
    """What comes of a file; anything but documents and `StageError` is a fault of ours."""
    try:
        found = data_files.find(path)
        return survey.take(documents.read(found.files, text_field="text"), today=corpora.TODAY)
    except StageError as error:
        return error


@pytest.mark.parametrize("name", sorted(whole()))
def test_every_kind_reads_when_it_is_whole(tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(whole()[name])
    found = outcome(path)
    assert isinstance(found, survey.Survey)
    assert found.documents == (1 if name.startswith(("one", "text")) else 22)


@pytest.mark.parametrize("seed", range(9))
def test_a_damaged_file_gives_documents_or_its_own_name(tmp_path: pathlib.Path, seed: int) -> None:
    for mutant in mutations.mutants(whole(), count=90, seed=seed):
        path = tmp_path / mutant.name
        path.write_bytes(mutant.content)
        try:
            found = outcome(path)
        except Exception as error:
            raise AssertionError(mutant.how) from error
        if isinstance(found, StageError):
            assert (found.reason, str(path) in str(found)) == ("DataUnreadable", True), mutant.how
            assert str(found).encode(), mutant.how
        else:
            assert found.documents == len(found.lengths) + sum(found.dropped.values()), mutant.how
