"""What the package `residuals` (arXiv 2410.10739, its authors' own) wants beside the weights to load a residual.

Its `Residuals.from_pretrained` reads `model.safetensors` or its index, a config.json of exactly these fields, and a
tokenizer; so a folder that has them is usable by it as it is. Fields that would differ each time are constant.
"""

import collections
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from modelrefresh_jobs.tensors import dtypes
from modelrefresh_jobs.tensors.safetensors_writer import Planned


def config(tensors: Sequence[Planned], *, names: Mapping[str, str | None], licence: str) -> dict[str, Any]:
    """The package's config.json; `names` are those of base and instruct on the hub, by role."""
    ordered = sorted(tensors, key=lambda one: one.name)
    shapes = "|".join(f"{one.name}:{list(one.shape)}" for one in ordered)
    [(most, _)] = collections.Counter(one.dtype for one in ordered).most_common(1)
    return {
        "residuals_version": "1.0",
        "format": "pytorch",
        "dtype": dtypes.FORMATS[most].torch_name,
        "param_count": len(ordered),
        "shapes_hash": hashlib.sha256(shapes.encode()).hexdigest(),
        "parameter_names_hash": hashlib.sha256("|".join(one.name for one in ordered).encode()).hexdigest(),
        "tokenizer_name": None,
        "created_at": "",
        "library": {"package": "modelrefresh"},
        "base_model_name": names.get("base"),
        "instruct_model_name": names.get("instruct"),
        "pipeline_tag": "text-generation",
        "license": licence,
        "language": None,
        "tags": ["residuals", "delta", "task-arithmetic"],
        "base_model_relation": "adapter",
    }
