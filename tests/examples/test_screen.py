"""The demo's lines without a terminal, and the copy of a seed."""

from pathlib import Path

import pytest

from examples.demo import screen, seeding


def test_without_a_terminal_a_line_appears_only_when_it_has_become_another_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with screen.Moving() as line:
        for percent in (1, 2, 50):
            line.draw(f"train {percent}%", change=percent // 25)
    said = [text.split("] ")[1] for text in capsys.readouterr().out.splitlines()]
    assert said == ["train 1%", "train 50%"]


def test_a_bar_is_full_at_one_and_never_longer() -> None:
    assert [screen.bar(share, width=4) for share in (0.0, 0.5, 1.0, 1.5)] == ["░░░░", "▓▓░░", "▓▓▓▓", "▓▓▓▓"]


def test_a_copied_seed_is_whole_and_replaces_an_older_one(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for part in seeding.PARTS:
        (source / part).mkdir(parents=True)
        (source / part / "file").write_text("new")
    (source / seeding.MANIFEST).write_text("{}")
    (target / "models").mkdir(parents=True)
    (target / "models" / "old").write_text("old")
    seeding.copy(source, target)
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert found == {f"{part}/file" for part in seeding.PARTS} | {seeding.MANIFEST}


def test_any_user_may_replace_a_copied_seed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for part in seeding.PARTS:
        (source / part).mkdir(parents=True)
    (source / seeding.MANIFEST).write_text("{}")
    seeding.copy(source, tmp_path / "target")
    assert all((tmp_path / "target" / part).stat().st_mode & 0o777 == 0o777 for part in seeding.PARTS)
