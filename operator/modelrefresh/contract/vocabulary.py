"""The words that users, operator and stages share: stages, strategies, transfers, methods, samplings, tasks."""

import enum


class Stage(enum.StrEnum):
    """The stages, in the order in which a run meets them; `extract` belongs to InstructionResidual."""

    EXTRACT = "extract"
    IMPORT = "import"
    PREPARE = "prepare"
    TRAIN = "train"
    SEARCH = "search"
    """Only where a run looks for the residual's factor."""
    MERGE = "merge"
    EVALUATE = "evaluate"
    SWEEP = "sweep"
    """Not part of a run: removes what retention no longer keeps."""


class Strategy(enum.StrEnum):
    """Where continual pretraining starts (arXiv 2410.10739, Settings 2 and 1)."""

    RESIDUAL = "Residual"
    """Setting 2: train the base, then add the instruction residual."""
    DIRECT = "Direct"
    """Setting 1: train the instruct model itself; kept for comparison."""


class Transfer(enum.StrEnum):
    """To which other base a residual may be added than the one it was cut from."""

    SAME_FAMILY = "SameFamily"
    """One of the same architecture, shapes and tokens, such as another release; positions may be encoded otherwise."""


class Method(enum.StrEnum):
    """Which weights continual pretraining changes."""

    LORA = "LoRA"
    FULL = "Full"


class LearningRateSchedule(enum.StrEnum):
    """How the learning rate goes on after the warm-up."""

    LINEAR = "Linear"
    """Down to zero in a straight line."""
    COSINE = "Cosine"
    """Down along half a cosine, to zero or a floor: longer high, then faster."""
    CONSTANT = "Constant"
    """Stays; what is averaged with other versions later loses least."""
    WARMUP_STABLE_DECAY = "WarmupStableDecay"
    """Stays, and falls to zero over the last share of the steps, first fast, then slowly (arXiv 2405.18392)."""


class Sampling(enum.StrEnum):
    """Which documents are learnt when the token budget does not hold all."""

    NEWEST = "Newest"
    """The newest first, by the records' dates; those without a date last, equal dates drawn by seed."""
    UNIFORM = "Uniform"
    """Drawn by seed."""


class Task(enum.StrEnum):
    """How the items of an evaluation suite are put and scored."""

    QUESTION_ANSWERING = "question-answering"
    """`{"question", "answer"}` lines, greedy chat answer; metrics exact_match, contains."""
    INSTRUCTION_FOLLOWING = "instruction-following"
    """`{"question", "pattern"}` lines, the answer must match the pattern in full and stop; metric follows."""
