"""Where things lie on the workspace claim, and when they exist.

One claim per namespace. A folder without a valid `manifest.json` does not exist: writers
fill a temporary sibling, fsync, rename, and write the manifest last.

    runs/<owner>/<run>/<stage>/   scratch of a run, removed by retention
    residuals/<digest>/           residual shards and the instruct model's files beside weights
    versions/<digest>/            a complete Hugging Face checkpoint; immutable
    cache/huggingface/            downloads of hf:// sources
"""

import pathlib
from dataclasses import dataclass

from modelrefresh.contract import sections, stage_request
from modelrefresh.contract.vocabulary import Stage

MANIFEST = "manifest.json"
RESULT = "result.json"
PROVENANCE = "provenance.json"
RESIDUALS = "residuals"
VERSIONS = "versions"
HUB_CACHE = "cache/huggingface"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Paths below one workspace root."""

    root: pathlib.Path

    def stage(self, owner: str, run: str, stage: Stage) -> pathlib.Path:
        """Scratch folder of one stage of one run."""
        return self.root / "runs" / owner / run / stage.value

    def runs(self, owner: str) -> pathlib.Path:
        """Parent of all runs of one owner."""
        return self.root / "runs" / owner

    def residual(self, digest: str) -> pathlib.Path:
        """Folder of one stored residual."""
        return self.root / RESIDUALS / digest

    def version(self, digest: str) -> pathlib.Path:
        """Folder of one sealed model version."""
        return self.root / VERSIONS / digest

    def hub_cache(self) -> pathlib.Path:
        """HF_HOME of stages that fetch hf:// sources."""
        return self.root / HUB_CACHE


def writable(request: stage_request.StageRequest) -> tuple[str, ...]:
    """Folders below the workspace in which a stage writes; all else of it a stage only reads.

    Its own scratch, and what it publishes. The cache of downloads is shared by all stages that read from the hub.
    """
    own = f"runs/{request.owner}" + (f"/{request.run}/{request.stage.value}" if request.stage != Stage.SWEEP else "")
    return (own, *sections.publishes(request.stage))


def claim_path(sources: str, claim: str, path: str) -> str:
    """Where `pvc://claim/path` is mounted inside a stage's pod."""
    return f"{sources}/{claim}/{path}".rstrip("/")
