"""The example files as they are applied: the built image in place of its name, GPUs only where there are any."""

from dataclasses import dataclass
from pathlib import Path

from examples.demo import kubectl

FOLDER = Path(__file__).resolve().parents[1]
UNBUILT = "modelrefresh-jobs@sha256:" + 64 * "0"
"""Stands in the files for the jobs image by its digest."""
_WITH_GPU, _WITHOUT = "gpusPerNode: 1\n", "gpusPerNode: 0\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filler:
    """What the files leave open."""

    image: str
    """Jobs image by digest."""
    gpus: bool
    """Whether any node offers GPUs."""

    def text(self, name: str) -> str:
        """One file of `examples/`, filled in."""
        text = (FOLDER / name).read_text(encoding="utf-8")
        text = text.replace(UNBUILT, self.image)
        return text if self.gpus else text.replace(_WITH_GPU, _WITHOUT)


def apply(client: kubectl.Kubectl, text: str) -> None:
    """Apply it as a person would."""
    client.run("apply", "--filename=-", stdin=text)
