"""What is remembered of documents stays small, and is found again however much there is of it."""

import pathlib
import tracemalloc

import numpy as np
import pytest

from modelrefresh_jobs.corpus import deduplication, scan
from modelrefresh_jobs.corpus.reading import documents
from tests.jobs import corpora


def test_a_like_document_is_found_among_many_that_came_later(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deduplication, "_RECENT", 100)
    signatures = np.random.default_rng(3).integers(0, 2**32, (500, 128), dtype=np.uint32)
    like = signatures.copy()
    like[:, :20] += 1
    with deduplication.NearDuplicates(tmp_path / "signatures") as near:
        assert (near.add(signatures), near.add(like)) == (0, 500)
        assert not any(near.like(number) for number in range(500, 1000))
        for number in range(0, 500, 2):
            assert not near.like(number)
            near.remember(number)
        assert [near.like(number) for number in range(500, 1000)] == [True, False] * 250


def test_what_is_remembered_of_a_document_takes_some_two_hundred_bytes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deduplication, "_RECENT", 1 << 14)
    signatures = np.random.default_rng(3).integers(0, 2**32, (70_000, 128), dtype=np.uint32)
    with deduplication.NearDuplicates(tmp_path / "signatures") as near:
        near.add(signatures)
        del signatures
        tracemalloc.start()
        for number in range(65_536):
            near.remember(number)
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert taken / 65_536 < 200


def test_a_document_of_a_scanned_source_takes_some_thirty_bytes() -> None:
    tracemalloc.start()
    source = (documents.Document(text=f"a document of some length with the number {index}") for index in range(50_000))
    seen = scan.of(source, today=corpora.TODAY)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(seen.digests) == 50_000
    assert taken / 50_000 < 40
