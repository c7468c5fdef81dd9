"""What goes into one merge, as folders: where a request's parts lie. Does not look inside them."""

import pathlib
from dataclasses import dataclass

from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.merge import MergeInput, TensorScale
from modelrefresh.contract.vocabulary import Strategy
from modelrefresh_jobs.storage import sources, versions
from modelrefresh_jobs.storage.run_folders import RunFolders


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedSource:
    """A residual beside the one that makes the instruct model."""

    residual: pathlib.Path
    scale: float
    transferred: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousSource:
    """A version that the sum is averaged with."""

    version: pathlib.Path
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeSources:
    """What goes into one merge, as folders."""

    start: pathlib.Path
    trained: pathlib.Path
    residual: pathlib.Path
    untrained: bool = False
    """Nothing was trained, and that is meant: `trained` is the start."""
    strategy: Strategy = Strategy.RESIDUAL
    scale: float = 1.0
    scales: tuple[TensorScale, ...] = ()
    transferred: bool = False
    """The residual was cut from another base of the start's family."""
    added: tuple[AddedSource, ...] = ()
    previous: PreviousSource | None = None

    @property
    def residuals(self) -> tuple[pathlib.Path, ...]:
        """All that are added."""
        return (self.residual, *(one.residual for one in self.added))


def of(
    wanted: MergeInput, folders: RunFolders, *, trained: pathlib.Path | None = None, deep: bool = False
) -> MergeSources:
    """The folders that a request names; the start counts as trained if nothing else does.

    With `deep` every byte of the version is proven that the sum is averaged with.

    Raises:
        StageError: ModelUnreadable or ResidualIncompatible, when one of them is not there.
    """
    start = sources.resolve(wanted.start, folders)
    return MergeSources(
        start=start,
        trained=trained or start,
        untrained=trained is None,
        residual=_residual(wanted.residual, folders),
        strategy=wanted.strategy,
        scale=wanted.scale,
        scales=wanted.scales,
        transferred=wanted.transfer is not None,
        added=tuple(
            AddedSource(
                residual=_residual(one.residual, folders), scale=one.scale, transferred=one.transfer is not None
            )
            for one in wanted.added
        ),
        previous=_previous(wanted, folders, deep=deep),
    )


def _residual(name: str, folders: RunFolders) -> pathlib.Path:
    below = folders.workspace.residual
    return sources.stored(name, folders, below=below, reason=StageReason.RESIDUAL_INCOMPATIBLE)


def _previous(wanted: MergeInput, folders: RunFolders, *, deep: bool) -> PreviousSource | None:
    if wanted.previous is None or not wanted.previous_share:
        return None
    return PreviousSource(version=versions.find(wanted.previous, folders, deep=deep), share=wanted.previous_share)
