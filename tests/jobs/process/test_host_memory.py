"""The memory that a stage may hold is what its container was given."""

import pathlib

import pytest

from modelrefresh_jobs.process import host_memory

PHYSICAL = host_memory.limit(pathlib.Path("/nothing"))


@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_limit_of_the_container_counts_in_both_versions_of_cgroups(tmp_path: pathlib.Path, file: str) -> None:
    assert limited(tmp_path, file, "1048576\n") == 1 << 20


@pytest.mark.parametrize(
    ("file", "text"), [("memory.max", "max\n"), ("memory/memory.limit_in_bytes", "9223372036854771712\n")]
)
def test_without_a_limit_all_memory_of_the_machine_counts(tmp_path: pathlib.Path, file: str, text: str) -> None:
    assert limited(tmp_path, file, text) == PHYSICAL > 1 << 20


def limited(folder: pathlib.Path, file: str, text: str) -> int:
    """What counts where the kernel says this."""
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(text)
    return host_memory.limit(folder)
