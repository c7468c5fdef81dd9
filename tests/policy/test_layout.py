"""Where things lie. `operator/` is a source root like src/; as a package it would shadow the standard library's."""

import operator
import sysconfig
from pathlib import Path

from tests.policy import checkout

BANNED = {"utils", "util", "helpers", "helper", "common", "base_classes", "manager", "managers", "misc", "lib"}


def test_operator_is_a_source_root_with_exactly_one_package() -> None:
    below = checkout.ROOT / "operator"
    assert not (below / "__init__.py").exists()
    assert {path.relative_to(below).parts[0] for path in checkout.files() if path.is_relative_to(below)} == {
        "README.md",
        "modelrefresh",
    }


def test_the_standard_librarys_operator_is_still_imported() -> None:
    assert Path(operator.__file__).is_relative_to(sysconfig.get_path("stdlib"))


def test_no_test_folder_is_called_operator() -> None:
    assert [
        checkout.name(path)
        for path in checkout.python_files()
        if "operator" in path.relative_to(checkout.ROOT).parts[1:-1]
    ] == []


def test_names_say_what_a_file_is_about() -> None:
    vague = [
        checkout.name(path)
        for path in checkout.files()
        if BANNED & {path.stem.lower(), *path.relative_to(checkout.ROOT).parts[:-1]}
    ]
    assert vague == []


def test_every_package_of_the_distribution_has_an_init_file() -> None:
    folders = {path.parent for path in checkout.production_files()}
    assert [checkout.name(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []
