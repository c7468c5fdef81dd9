"""Sealed folders exist completely or not at all, whatever happens in between."""

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from modelrefresh.contract import artifacts
from modelrefresh_jobs.storage import sealed
from tests.jobs import builders


def publish(parent: pathlib.Path, *, attempt: int = 1, text: str = "weights") -> sealed.Manifest:
    with sealed.draft(parent, kind="version", label="chat.r1", attempt=attempt) as made:
        (made.path / "donor").mkdir()
        (made.path / "model.safetensors").write_text(text)
        (made.path / "donor" / "tokenizer.json").write_text("{}")
        (made.path / artifacts.PROVENANCE).write_text(f'{{"attempt": {attempt}}}')
        return sealed.seal(made)


def visible(parent: pathlib.Path) -> list[str]:
    return sorted(path.name for path in parent.iterdir() if not path.name.startswith("."))


def test_the_digest_is_that_of_the_content_alone(tmp_path: pathlib.Path) -> None:
    first, again, other = publish(tmp_path), publish(tmp_path, attempt=2), publish(tmp_path, text="others")
    assert first.digest == again.digest
    assert visible(tmp_path) == sorted([first.digest, other.digest])


def test_a_sealed_folder_is_verified_to_the_last_byte(tmp_path: pathlib.Path) -> None:
    manifest = publish(tmp_path)
    assert sealed.verify(tmp_path / manifest.digest, deep=True) == manifest


def flip_a_bit(folder: pathlib.Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[3] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def cut_short(folder: pathlib.Path) -> None:
    os.truncate(folder / "model.safetensors", 3)


def drop_a_file(folder: pathlib.Path) -> None:
    (folder / "donor" / "tokenizer.json").unlink()


def add_a_file(folder: pathlib.Path) -> None:
    (folder / "surplus.json").write_text("{}")


def forge_a_hash(folder: pathlib.Path) -> None:
    manifest = folder / artifacts.MANIFEST
    manifest.write_text(manifest.read_text().replace(sealed.sha256(folder / "model.safetensors"), "0" * 64))


def tear_the_manifest(folder: pathlib.Path) -> None:
    os.truncate(folder / artifacts.MANIFEST, 40)


def drop_the_manifest(folder: pathlib.Path) -> None:
    (folder / artifacts.MANIFEST).unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip_a_bit, "model.safetensors has changed"),
        (cut_short, "model.safetensors has 3 bytes, sealed with 7"),
        (drop_a_file, "donor/tokenizer.json is missing"),
        (add_a_file, "surplus.json is not in the manifest"),
        (forge_a_hash, "does not give the digest"),
        (tear_the_manifest, "damaged"),
        (drop_the_manifest, "nothing was finished here"),
    ],
)
def test_damage_is_found_and_named(tmp_path: pathlib.Path, damage: Callable[[pathlib.Path], None], said: str) -> None:
    folder = tmp_path / publish(tmp_path).digest
    damage(folder)
    with pytest.raises(sealed.BrokenSealError, match=said):
        sealed.verify(folder, deep=True)


def test_a_file_that_a_server_left_does_not_make_a_version_vanish(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / publish(tmp_path).digest
    add_a_file(folder)
    assert sealed.is_sealed(folder)


def test_a_damaged_folder_is_replaced_by_the_next_equal_one(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / publish(tmp_path).digest
    drop_a_file(folder)
    assert not sealed.is_sealed(folder)
    publish(tmp_path)
    assert sealed.is_sealed(folder)


def test_a_folder_with_changed_bytes_is_replaced_by_the_next_equal_one(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / publish(tmp_path).digest
    (folder / "model.safetensors").write_text("WEIGHTS")
    assert sealed.is_sealed(folder)
    publish(tmp_path)
    sealed.verify(folder, deep=True)
    assert visible(tmp_path) == [folder.name]


def test_a_file_that_a_server_left_survives_the_next_equal_one(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / publish(tmp_path).digest
    add_a_file(folder)
    before = sorted(path.name for path in folder.iterdir())
    publish(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == before


def fail_half_way(parent: pathlib.Path) -> None:
    with sealed.draft(parent, kind="version", label="chat.r1") as made:
        (made.path / "half").write_text("half")
        raise RuntimeError


def test_an_error_while_writing_leaves_nothing(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RuntimeError):
        fail_half_way(tmp_path)
    assert list(tmp_path.iterdir()) == []


def killed_at(step: int, parent: pathlib.Path) -> bool:
    """Publish in a child that dies before its step-th system call of consequence; False: it was done before."""
    child = os.fork()
    if child == 0:
        left = step

        def dying(function: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **named: object) -> object:
                nonlocal left
                left -= 1
                if left < 0:
                    os._exit(9)
                return function(*arguments, **named)

            return call

        for name in ("fsync", "rename", "mkdir", "open"):
            setattr(os, name, dying(getattr(os, name)))
        publish(parent)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_kill_between_any_two_steps_leaves_nothing_or_all(tmp_path: pathlib.Path) -> None:
    whole = publish(tmp_path / "reference").digest
    outcomes = []
    step = 0
    while killed_at(step, tmp_path / f"{step}"):
        found = visible(tmp_path / f"{step}") if (tmp_path / f"{step}").exists() else []
        assert found in ([], [whole])
        assert all(sealed.is_sealed(tmp_path / f"{step}" / name) for name in found)
        outcomes.append(bool(found))
        publish(tmp_path / f"{step}", attempt=2)
        assert [path.name for path in (tmp_path / f"{step}").iterdir()] == [whole]
        step += 1
    assert outcomes == sorted(outcomes), "once visible, always visible"
    assert step > 8


def test_what_a_killed_process_left_under_the_same_attempt_goes(tmp_path: pathlib.Path) -> None:
    script = """
import os, pathlib, signal, sys
from modelrefresh_jobs.storage import sealed
from tests.jobs import builders
with sealed.draft(pathlib.Path(sys.argv[1]), kind="version", label="new [1]"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=builders.shell(), check=False)
    assert ran.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    with sealed.draft(tmp_path, kind="version", label="new [1]") as made:
        assert list(tmp_path.iterdir()) == [made.path]
    assert not left.exists()


def test_what_another_process_is_still_writing_stays(tmp_path: pathlib.Path) -> None:
    with (
        sealed.draft(tmp_path, kind="version", label="new") as one,
        sealed.draft(tmp_path, kind="version", label="new"),
    ):
        assert one.path.is_dir()


def test_leftovers_of_later_or_other_attempts_are_not_touched(tmp_path: pathlib.Path) -> None:
    for name in (".chat.r1.3.aaaa.partial", ".chat.r2.1.aaaa.partial"):
        (tmp_path / name).mkdir()
    publish(tmp_path, attempt=2)
    assert {".chat.r1.3.aaaa.partial", ".chat.r2.1.aaaa.partial"} <= {path.name for path in tmp_path.iterdir()}


def test_two_writers_of_the_same_content_do_no_harm(tmp_path: pathlib.Path) -> None:
    with sealed.draft(tmp_path, kind="version", label="chat.r1") as slow:
        (slow.path / "model.safetensors").write_text("weights")
        with sealed.draft(tmp_path, kind="version", label="chat.r2") as fast:
            (fast.path / "model.safetensors").write_text("weights")
            first = sealed.seal(fast)
        assert sealed.seal(slow).digest == first.digest
    assert [path.name for path in tmp_path.iterdir()] == [first.digest]


def test_a_hash_taken_while_writing_is_believed_and_checked_later(tmp_path: pathlib.Path) -> None:
    with sealed.draft(tmp_path, kind="version", label="chat.r1") as made:
        (made.path / "model.safetensors").write_text("weights")
        made.known["model.safetensors"] = "0" * 64
        manifest = sealed.seal(made)
    with pytest.raises(sealed.BrokenSealError, match="has changed"):
        sealed.verify(tmp_path / manifest.digest, deep=True)
