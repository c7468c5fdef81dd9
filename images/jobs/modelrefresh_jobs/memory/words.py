"""What people are told of a training's memory: the parts, whether it fits, and what to change. Knows no stage."""

from modelrefresh_jobs.memory.ways import Fit

_GB = 1_000_000_000


def size(count: int) -> str:
    """Bytes in GB, powers of 1000."""
    return f"{count / _GB:.1f}"


def told(fit: Fit) -> str:
    """How a training goes and what it takes."""
    return f"{needed(fit)}; {means(fit)}"


def needed(fit: Fit) -> str:
    """What it takes of each card, the largest parts first."""
    parts = ", ".join(f"{name} {size(count)}" for name, count in fit.need.parts.items() if size(count) != "0.0")
    return f"about {size(fit.need.peak)} GB of {size(fit.card)} GB per GPU ({parts})"


def means(fit: Fit) -> str:
    """The setting in the words of the spec, with what the trainer chooses by itself."""
    setting = fit.setting
    words = [f"zeroStage {setting.zero_stage}", f"batchSize {setting.batch_size}"]
    words += [f"gradientAccumulation {fit.accumulation}"] if fit.accumulation > 1 else []
    words += ["activations recomputed"] if setting.recompute else []
    words += [f"optimizer in host memory ({size(fit.need.host)} GB per GPU)"] if setting.offload else []
    return ", ".join(words)


def hostless(fit: Fit, wished: Fit, *, host: int) -> str:
    """That neither the cards nor, for the optimizer, the host has room; `host` in bytes per card."""
    seen = f"with its optimizer in host memory ({size(wished.need.host)} GB per GPU, of {size(host)} GB that are there)"
    hint = "raise the memory limit of the train stage, take more GPUs, or use method LoRA"
    return f"training does not fit: it takes {needed(fit)}, and the host has no room either {seen}; {hint}"


def advice(better: Fit, fewest: int | None) -> str:
    """What to change when a setting does not fit, given the best way on the same cards."""
    if better.fits:
        return f"it fits with {means(better)}"
    if fewest is None:
        largest = next(iter(better.need.parts))
        return f"no number of such GPUs is enough, {largest} being the largest part: lower sequenceLength, or use LoRA"
    return f"it needs at least {fewest} such GPUs: raise gpusPerNode or nodes, or use method LoRA"
