"""Data files of every kind, small and real: what a user may lay down for training, and suites."""

import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

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
        "plain.parquet": _parquet(texts, compression="none", use_dictionary=False),
        "packed.parquet": _parquet(texts, compression="zstd", use_dictionary=True),
    }


def suite() -> bytes:
    """A suite that every task can ask."""
    items = [{"question": f"who is {n}?", "answer": "blue", "pattern": "(bl.e)+", "id": n} for n in range(6)]
    return "".join(json.dumps(item) + "\n" for item in items).encode()


def _parquet(texts: list[str], **settings: object) -> bytes:
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
