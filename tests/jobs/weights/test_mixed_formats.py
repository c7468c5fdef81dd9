"""Pairs whose number formats differ: every weight is the float64 sum, rounded once to the instruct model's format.

The expected values are computed here with nothing of the project: rounding by whole multiples of
the format's unit, which float64 holds exactly.
"""

import json
import pathlib
import shutil
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.torch
import torch
import transformers

from modelrefresh.contract.vocabulary import Stage, Strategy
from modelrefresh_jobs.models import model_folder
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.stages import extract
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.weights import candidate, stored_residual
from modelrefresh_jobs.weights.merge_sources import MergeSources
from tests.jobs import builders

NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
TYPES = list(NAMES)
TYPE = [pytest.param(one, id=name) for one, name in NAMES.items()]
DIGITS = {torch.bfloat16: (8, -126), torch.float16: (11, -14), torch.float32: (24, -126)}
SCALES = (1.0, 0.5, 0.0, -1.0, 2.0)
ODD = (0.0, -0.0, 1e-40, -1e-40, 6e-8, -6e-8, 3e-5, 1.00390625, -1.0, 1.0009765625)
"""Signed zeros, numbers below the normal ones of each format, middles between two numbers of bf16 and of fp16."""

Weights = dict[str, torch.Tensor]


def nearest(values: npt.NDArray[np.float64], kind: torch.dtype) -> npt.NDArray[np.float64]:
    digits, least = DIGITS[kind]
    unit = np.ldexp(1.0, np.maximum(np.frexp(values)[1] - 1, least) - digits + 1)
    return np.asarray(np.rint(values / unit) * unit)


def read(folder: pathlib.Path) -> Weights:
    return {
        name: value
        for file in folder.glob("*.safetensors")
        for name, value in safetensors.torch.load_file(file).items()
    }


def doubles(value: torch.Tensor) -> npt.NDArray[np.float64]:
    return value.double().numpy()


class Mixed:
    """Three models of one shape, each tensor in a format of its own."""

    def __init__(self, root: pathlib.Path, *, arch: str = builders.LLAMA) -> None:
        self.root = root
        self.pair = builders.tiny_pair(root, arch=arch)
        chance = np.random.default_rng(3)
        for role in builders.ROLES:
            odd = torch.tensor(chance.choice(ODD, 32), dtype=torch.float32)
            builders.set_weights(getattr(self.pair, role), **{"model.layers.1.input_layernorm.weight": odd})

    def cast(self, role: str, kinds: Mapping[str, torch.dtype] | torch.dtype) -> None:
        """Store a model's tensors in these formats."""
        file = getattr(self.pair, role) / "model.safetensors"
        cast = {
            name: value.to(kinds[name] if isinstance(kinds, Mapping) else kinds)
            for name, value in safetensors.torch.load_file(file).items()
        }
        safetensors.torch.save_file(cast, file, metadata={"format": "pt"})

    def residual(self) -> pathlib.Path:
        """Extract."""
        progress, target = builders.quiet(Stage.EXTRACT), self.root / "residual"
        base, instruct = model_folder.accept(self.pair.base), model_folder.accept(self.pair.instruct)
        with sealed.draft(self.root, kind=stored_residual.KIND, label="residual") as made:
            extract.store(base, instruct, made, progress=progress, target=target)
        return target

    def merge(self, trained: pathlib.Path, *, scale: float = 1.0, direct: bool = False) -> pathlib.Path:
        """Merge these trained weights."""
        stored, target = self.root / "residual", self.root / f"merged-{len(list(self.root.iterdir()))}"
        given = MergeSources(
            start=self.pair.instruct if direct else self.pair.base,
            trained=trained,
            residual=stored if stored.is_dir() else self.residual(),
            strategy=Strategy.DIRECT if direct else Strategy.RESIDUAL,
            scale=scale,
        )
        with sealed.draft(self.root, kind=candidate.KIND, label=target.name) as made:
            candidate.store(given, made, progress=builders.quiet(Stage.MERGE), target=target)
        return target

    def wrong(self, merged: pathlib.Path, *, scale: float) -> list[str]:
        """Tensors with a weight or a format other than the expected one."""
        base, instruct, trained, found = map(read, (self.pair.base, self.pair.instruct, self.pair.trained, merged))
        wrong = []
        for name in {*found, *instruct}:
            start, chat, moved = (doubles(weights[name]) for weights in (base, instruct, trained))
            wanted = nearest(moved + scale * (chat - start), instruct[name].dtype)
            if found[name].dtype != instruct[name].dtype or not np.array_equal(doubles(found[name]), wanted):
                wrong.append(name)
        return wrong


@pytest.mark.parametrize("instruct", TYPE)
@pytest.mark.parametrize("base", TYPE)
def test_an_untrained_base_of_any_format_gives_the_instruct_model_back_bit_for_bit(
    tmp_path: pathlib.Path, base: torch.dtype, instruct: torch.dtype
) -> None:
    models = Mixed(tmp_path)
    models.cast("base", base)
    models.cast("instruct", instruct)
    assert builders.weights(models.merge(models.pair.base)) == builders.weights(models.pair.instruct)


@pytest.mark.parametrize("instruct", TYPE)
@pytest.mark.parametrize("base", TYPE)
def test_every_weight_is_the_sum_rounded_once_to_the_instruct_format(
    tmp_path: pathlib.Path, base: torch.dtype, instruct: torch.dtype
) -> None:
    models = Mixed(tmp_path)
    models.cast("base", base)
    models.cast("instruct", instruct)
    for trained in (torch.float32, torch.float16, torch.bfloat16):
        models.cast("trained", trained)
        for scale in SCALES:
            assert models.wrong(models.merge(models.pair.trained, scale=scale), scale=scale) == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("arch", [builders.LLAMA, builders.QWEN2])
def test_formats_may_differ_from_tensor_to_tensor_and_shard_to_shard(
    tmp_path: pathlib.Path, arch: str, seed: int
) -> None:
    models, chance = Mixed(tmp_path, arch=arch), np.random.default_rng(seed)
    for role in builders.ROLES:
        names = sorted(read(getattr(models.pair, role)))
        models.cast(role, {name: TYPES[chance.integers(len(TYPES))] for name in names})
        split(getattr(models.pair, role), chance)
    for scale in SCALES:
        assert models.wrong(models.merge(models.pair.trained, scale=scale), scale=scale) == []
    assert builders.weights(models.merge(models.pair.base)) == builders.weights(models.pair.instruct)


def split(folder: pathlib.Path, chance: np.random.Generator) -> None:
    stored, files = read(folder), [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    places = {name: files[number] if number < 3 else files[chance.integers(3)] for number, name in enumerate(stored)}
    for file in files:
        part = {name: value for name, value in stored.items() if places[name] == file}
        safetensors.torch.save_file(part, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


@pytest.mark.parametrize("trained", TYPE)
@pytest.mark.parametrize("base", TYPE)
def test_direct_rounds_once_to_the_instruct_format_whatever_the_base_has(
    tmp_path: pathlib.Path, base: torch.dtype, trained: torch.dtype
) -> None:
    models = Mixed(tmp_path)
    models.cast("base", base)
    models.cast("instruct", torch.bfloat16)
    models.cast("trained", trained)
    before, found = read(models.pair.trained), read(models.merge(models.pair.trained, direct=True))
    for name, value in found.items():
        assert value.dtype is torch.bfloat16
        np.testing.assert_array_equal(doubles(value), nearest(doubles(before[name]), torch.bfloat16), err_msg=name)


def test_the_merged_model_of_a_mixed_pair_loads_and_says_what_the_instruct_model_says(tmp_path: pathlib.Path) -> None:
    models = Mixed(tmp_path)
    models.cast("base", torch.bfloat16)
    merged = models.merge(models.pair.base)
    np.testing.assert_array_equal(builders.logits(merged), builders.logits(models.pair.instruct))


@pytest.mark.parametrize(
    ("said", "loaded"), [("bfloat16", torch.bfloat16), (None, torch.bfloat16), ("float16", torch.float16)]
)
def test_the_merged_config_names_the_instruct_models_format_or_that_of_most_weights(
    tmp_path: pathlib.Path, said: str | None, loaded: torch.dtype
) -> None:
    models = Mixed(tmp_path)
    norms = {name: torch.float32 if "norm" in name else torch.bfloat16 for name in read(models.pair.instruct)}
    models.cast("instruct", norms)
    builders.edit_json(models.pair.instruct / "config.json", dtype=said)
    merged = models.merge(models.pair.trained)
    assert read(merged)["model.norm.weight"].dtype is torch.float32
    assert transformers.AutoModelForCausalLM.from_pretrained(merged, dtype="auto").dtype is loaded


def test_a_residual_of_equal_formats_is_stored_as_before(tmp_path: pathlib.Path) -> None:
    models = Mixed(tmp_path)
    description = json.loads((models.residual() / stored_residual.DESCRIPTION).read_text())
    assert sorted(description) == ["architecture", "base_fingerprint", "encoding", "instruct_fingerprint"]


def test_a_residual_says_of_each_tensor_that_differs_what_both_models_have(tmp_path: pathlib.Path) -> None:
    models = Mixed(tmp_path)
    models.cast("base", {name: torch.float16 if "norm" in name else torch.float32 for name in read(models.pair.base)})
    description = stored_residual.read_description(models.residual())
    assert description.mixed is not None
    assert set(description.mixed) == {name for name in read(models.pair.base) if "norm" in name}
    assert description.mixed["model.norm.weight"] == stored_residual.Formats(base="F16", instruct="F32")


def test_a_bit_that_flipped_in_a_residual_of_mixed_formats_is_found(tmp_path: pathlib.Path) -> None:
    models = Mixed(tmp_path)
    models.cast("base", torch.bfloat16)
    stored = models.residual() / "model.safetensors"
    data = bytearray(stored.read_bytes())
    data[-5] ^= 4
    stored.write_bytes(data)
    with pytest.raises(StageError, match="it was damaged, extract it again"):
        models.merge(models.pair.trained)


def test_a_card_of_formats_that_nobody_knows_is_refused(tmp_path: pathlib.Path) -> None:
    models = Mixed(tmp_path)
    with sealed.draft(tmp_path, kind=stored_residual.KIND, label="odd") as made:
        shutil.copytree(
            models.residual(), made.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json")
        )
        builders.edit_json(
            made.path / stored_residual.DESCRIPTION, mixed={"model.norm.weight": {"base": "F8_E4M3", "instruct": "F32"}}
        )
        sealed.seal(made, target=tmp_path / "odd")
    with pytest.raises(StageError, match="F8_E4M3"):
        stored_residual.read_description(tmp_path / "odd")
