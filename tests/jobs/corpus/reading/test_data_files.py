"""Which files of a source are data."""

import os
import pathlib
import socket

import pytest

from modelrefresh_jobs.corpus.reading import data_files
from modelrefresh_jobs.process.errors import StageError


def made(root: pathlib.Path, *names: str) -> pathlib.Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return root


def names(root: pathlib.Path) -> list[str]:
    return [str(file.path.relative_to(root)) for file in data_files.find(root).files]


DATA = [
    "a.jsonl",
    "b.JSONL.GZ",
    "c.ndjson",
    "d.json",
    "e.jsonl.zst",
    "f.Parquet",
    "g.txt",
    "h.txt.gz",
    "sub/i.ndjson.zst",
]
OTHERS = ["a.csv", "b.jsonl.bz2", "c.parquet.gz", "d.md", "e", "f.pdf", "jsonl"]
ABOUT = [
    *("README.txt", "readme", "README-de.txt", "LICENSE.txt", "LICENCE", "requirements.txt", "requirements-dev.txt"),
    *("notice.txt", "dataset_info.json", "sub/dataset_infos.json", "package.json"),
]
HIDDEN = [".git/x.jsonl", "_temporary/0/part.jsonl", ".hidden.jsonl", "_SUCCESS", "_metadata.parquet", "a/.b/c.txt"]


def test_what_is_obviously_data_is_read_in_any_case_of_letters(tmp_path: pathlib.Path) -> None:
    assert names(made(tmp_path, *DATA)) == DATA


def test_texts_about_the_data_and_other_kinds_are_counted_and_the_first_are_named(tmp_path: pathlib.Path) -> None:
    found = data_files.find(made(tmp_path, "a.jsonl", *OTHERS, *ABOUT))
    assert [file.path.name for file in found.files] == ["a.jsonl"]
    assert sorted(found.ignored) == sorted(OTHERS + ABOUT)
    assert found.examples() == "LICENCE, LICENSE.txt, README-de.txt"


def test_bookkeeping_does_not_exist(tmp_path: pathlib.Path) -> None:
    found = data_files.find(made(tmp_path, "a.jsonl", *HIDDEN))
    assert (len(found.files), found.ignored) == (1, ())


def test_data_may_have_the_name_of_a_text_about_it_in_a_kind_of_its_own(tmp_path: pathlib.Path) -> None:
    expected = ["changelog.jsonl", "licenses.jsonl", "notice-1.txt", "requirements.jsonl"]
    assert names(made(tmp_path, *expected)) == expected


def test_a_folder_that_is_named_like_a_file_is_a_folder(tmp_path: pathlib.Path) -> None:
    assert names(made(tmp_path, "out.jsonl/part-0.json", "out.jsonl/_SUCCESS")) == ["out.jsonl/part-0.json"]


@pytest.mark.parametrize("target", ["nowhere", "a.jsonl"])
def test_a_link_that_leads_nowhere_is_a_fault(tmp_path: pathlib.Path, target: str) -> None:
    (tmp_path / "a.jsonl").symlink_to(target)
    with pytest.raises(StageError, match=r"a\.jsonl: a link to where nothing is") as caught:
        data_files.find(tmp_path)
    assert caught.value.reason == "DataUnreadable"


def test_data_that_vanishes_while_it_is_listed_is_a_fault(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_files, "_below", lambda _: [tmp_path / "a.jsonl"])
    with pytest.raises(StageError, match=r"a\.jsonl: gone since") as caught:
        data_files.find(tmp_path)
    assert caught.value.reason == "DataUnreadable"


def test_links_to_files_are_read_and_links_to_folders_are_told(tmp_path: pathlib.Path) -> None:
    made(tmp_path, ".store/blob", "folder/b.jsonl")
    (tmp_path / "a.jsonl").symlink_to(".store/blob")
    (tmp_path / "again").symlink_to("folder")
    found = data_files.find(tmp_path)
    assert names(tmp_path) == ["a.jsonl", "folder/b.jsonl"]
    assert found.ignored == ("again",)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_data_that_is_no_file_is_a_fault_and_not_waited_for(tmp_path: pathlib.Path, kind: str) -> None:
    path = tmp_path / "a.jsonl"
    with socket.socket(socket.AF_UNIX) as one:
        os.mkfifo(path) if kind == "pipe" else one.bind(str(path))
        with pytest.raises(StageError, match="no regular file"):
            data_files.find(tmp_path)
        with pytest.raises(StageError, match="no regular file"):
            data_files.find(path)


@pytest.mark.parametrize("name", OTHERS)
def test_a_single_file_of_another_kind_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(StageError, match=r"a file of another kind; expected \.jsonl"):
        data_files.find(made(tmp_path, name) / name)


def test_names_that_are_no_text_can_be_told(tmp_path: pathlib.Path) -> None:
    for name in (b"\xff.csv", b"a\nb.csv", b"a\x1b[2J.csv"):
        (tmp_path / os.fsdecode(name)).touch()
    assert data_files.find(tmp_path).examples() == r"a\nb.csv, a\x1b[2J.csv, \udcff.csv"


@pytest.mark.parametrize("name", ["new\nline.txt", "\n.jsonl", "tab\t.parquet", "a\r\n.ndjson.gz"])
def test_data_is_data_whatever_its_name_holds(tmp_path: pathlib.Path, name: str) -> None:
    assert names(made(tmp_path, name)) == [name]
