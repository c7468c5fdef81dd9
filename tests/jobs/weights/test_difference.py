"""A stored residual: numbers that other tools read and add, and the instruct model again, bit for bit."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.models import model_card, model_folder
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import model_files, sealed
from modelrefresh_jobs.storage.schemes import hf
from modelrefresh_jobs.tensors import dtypes, safetensors_writer
from modelrefresh_jobs.tensors.dtypes import Bits, Format, Scratch
from modelrefresh_jobs.tensors.safetensors_reader import Reader
from modelrefresh_jobs.tensors.safetensors_writer import Planned
from modelrefresh_jobs.weights import difference, exceptions, residual_math, stored_residual
from modelrefresh_jobs.weights.difference import Places
from modelrefresh_jobs.weights.residual_math import Forms
from modelrefresh_jobs.weights.stored_residual import Encoding
from tests.jobs import builders
from tests.jobs.stages.test_merge import asked, extracted, merge_into

PAIRS = [
    pytest.param(Forms(start=one, other=other), id=f"{one.name}-{other.name}")
    for one in dtypes.FORMATS.values()
    for other in dtypes.FORMATS.values()
]
UNTIMED = hypothesis.settings(deadline=None)


def weights(form: Format) -> strategies.SearchStrategy[Bits]:
    return arrays.arrays(np.dtype(form.bits), 16).filter(lambda bits: dtypes.is_finite(bits, form))


@pytest.mark.parametrize("forms", PAIRS)
@UNTIMED
@hypothesis.given(data=strategies.data())
def test_any_weights_come_back_bit_for_bit(forms: Forms, data: strategies.DataObject) -> None:
    start, other = data.draw(weights(forms.start)), data.draw(weights(forms.other))
    stored, places, kept = encoded(start, other, forms)
    assert dtypes.is_finite(stored, forms.stored)
    found = difference.decode(start, stored, forms, Scratch()).copy()
    found[places.astype(int)] = kept
    assert np.array_equal(found, other)


@pytest.mark.parametrize("form", dtypes.FORMATS.values(), ids=lambda form: form.name)
@pytest.mark.parametrize(("size", "most"), [(0.01, 0.005), (0.05, 0.02)])
def test_of_weights_as_models_have_them_few_are_exceptions(form: Format, size: float, most: float) -> None:
    chance = np.random.default_rng(1)
    start = chance.normal(0, 0.02, 1 << 18)
    ours, theirs = (dtypes.narrow(one, form).copy() for one in (start, start + chance.normal(0, 0.02 * size, 1 << 18)))
    _, places, _ = encoded(ours, theirs, Forms(start=form, other=form))
    assert 0 < places.size / start.size < most


def encoded(start: Bits, other: Bits, forms: Forms) -> tuple[Bits, Places, Bits]:
    before = dtypes.widen(start, forms.start)
    apart = dtypes.widen(other, forms.other) - before
    return difference.encode(start, other, (before, apart), forms, Scratch())


@pytest.fixture
def pair(tmp_path: pathlib.Path) -> builders.Pair:
    return builders.tiny_pair(tmp_path, dtype="bfloat16")


def stored(root: pathlib.Path, pair: builders.Pair) -> pathlib.Path:
    return builders.workspace_of(root).residual(extracted(root, pair.base, pair.instruct).digest)


def test_another_program_reads_the_differences_under_the_names_of_the_model(
    tmp_path: pathlib.Path, pair: builders.Pair
) -> None:
    found = safetensors.torch.load_file(stored(tmp_path / "ws", pair) / "model.safetensors")
    base, instruct = (safetensors.torch.load_file(one / "model.safetensors") for one in (pair.base, pair.instruct))
    assert {name: (one.dtype, one.shape) for name, one in found.items()} == {
        name: (one.dtype, one.shape) for name, one in base.items()
    }
    assert all(torch.allclose(base[name] + found[name], instruct[name], rtol=1e-2, atol=1e-3) for name in found)


def test_the_exceptions_are_the_weights_that_the_sum_does_not_give(tmp_path: pathlib.Path, pair: builders.Pair) -> None:
    folder = stored(tmp_path / "ws", pair)
    found, kept = (safetensors.torch.load_file(folder / f"{stem}.safetensors") for stem in ("model", "exceptions"))
    base, instruct = (safetensors.torch.load_file(one / "model.safetensors") for one in (pair.base, pair.instruct))
    for name, one in found.items():
        wrong = (base[name] + one != instruct[name]).flatten().nonzero().flatten()
        places = kept.get(f"{name}.places", torch.empty(0, dtype=torch.uint32)).long()
        assert places.tolist() == wrong.tolist()
        assert torch.equal(
            kept.get(f"{name}.weights", torch.empty(0, dtype=one.dtype)), instruct[name].flatten()[wrong]
        )


def in_patterns(folder: pathlib.Path, pair: builders.Pair) -> pathlib.Path:
    """The same residual as releases before this one stored it, beside it."""
    base, instruct = model_folder.accept(pair.base), model_folder.accept(pair.instruct)
    planned = [Planned(name=one.name, dtype=one.form.bits_name, shape=one.shape) for one in base.tensors.values()]
    with sealed.draft(folder.parent, kind="residual", label="old") as made, Reader() as reader:
        for path in folder.glob("donor/*"):
            (made.path / "donor").mkdir(exist_ok=True)
            (made.path / "donor" / path.name).write_bytes(path.read_bytes())
        [shard] = safetensors_writer.plan(planned, stem="residual")
        with safetensors_writer.Writer(made.path, shard, metadata={"encoding": "xor"}) as writer:
            for tensor in shard.tensors:
                ours, theirs = base.tensors[tensor.name], instruct.tensors[tensor.name]
                left, right = (reader.bits(one, 0, one.count) for one in (ours, theirs))
                writer.write(residual_math.xor(left, right, Forms(start=ours.form, other=theirs.form), Scratch()))
            writer.finish()
        description: dict[str, Any] = json.loads((folder / "residual.json").read_text())
        builders.write_json(made.path / "residual.json", description | {"encoding": "xor"})
        return folder.parent / sealed.seal(made).digest


@pytest.mark.parametrize("direct", [False, True], ids=["residual", "direct"])
def test_a_residual_of_patterns_is_still_read_and_gives_the_same(
    tmp_path: pathlib.Path, pair: builders.Pair, *, direct: bool
) -> None:
    root = tmp_path / "ws"
    new = stored(root, pair)
    old = in_patterns(new, pair)
    start = pair.instruct if direct else pair.base
    (first, of_new), (second, of_old) = (
        merge_into(root, pair.trained, asked(start, residual.name, direct=direct)) for residual in (new, old)
    )
    assert builders.weights(first) == builders.weights(second)
    assert (of_new.drift, of_new.residual_norm) == pytest.approx((of_old.drift, of_old.residual_norm), rel=1e-2)


def test_an_encoding_that_nobody_knows_is_refused(tmp_path: pathlib.Path, pair: builders.Pair) -> None:
    old = in_patterns(stored(tmp_path / "ws", pair), pair)
    builders.edit_json(old / "residual.json", encoding="of-tomorrow")
    (old / "manifest.json").unlink()
    named = old.rename(tmp_path / "named")
    sealed.seal(sealed.Draft(path=named, kind="residual", parents={}), target=named)
    with pytest.raises(StageError, match="reads difference and xor") as caught:
        stored_residual.read_description(named)
    assert caught.value.reason is StageReason.RESIDUAL_INCOMPATIBLE


def test_a_damaged_exception_is_found(tmp_path: pathlib.Path, pair: builders.Pair) -> None:
    folder = stored(tmp_path / "ws", pair)
    file = folder / "exceptions.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1]))
    with pytest.raises(StageError) as caught:
        merge_into(tmp_path / "ws", pair.trained, asked(pair.base, folder.name))
    assert caught.value.reason is StageReason.RESIDUAL_INCOMPATIBLE


Damage = Callable[[dict[str, torch.Tensor], str], object]
DAMAGES: dict[str, Damage] = {
    "beyond the tensor": lambda kept, name: kept[f"{name}.places"].view(torch.int32)[-1:].fill_(2**30),
    "not ascending": lambda kept, name: kept.update({f"{name}.places": kept[f"{name}.places"].flip(0)}),
    "fewer weights": lambda kept, name: kept.update({f"{name}.weights": kept[f"{name}.weights"][:-1]}),
    "another format": lambda kept, name: kept.update({f"{name}.weights": kept[f"{name}.weights"].float()}),
    "no weights": lambda kept, name: kept.pop(f"{name}.weights"),
    "positions that are numbers": lambda kept, name: kept.update({f"{name}.places": kept[f"{name}.places"].float()}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_exceptions_that_cannot_be_are_a_damaged_residual(
    tmp_path: pathlib.Path, pair: builders.Pair, damage: Damage
) -> None:
    folder, name = stored(tmp_path / "ws", pair), "model.embed_tokens.weight"
    kept = safetensors.torch.load_file(folder / "exceptions.safetensors")
    damage(kept, name)
    safetensors.torch.save_file(kept, folder / "exceptions.safetensors")
    opened = stored_residual.open_shards(folder, Encoding.DIFFERENCE)
    with Reader() as reader, pytest.raises(StageError, match=f"exceptions of {name}") as caught:
        opened.restore(name, Forms(start=dtypes.BF16, other=dtypes.BF16), reader, Scratch())
    assert caught.value.reason is StageReason.RESIDUAL_INCOMPATIBLE


def test_the_card_of_a_model_is_fetched_from_the_hub_with_it() -> None:
    assert model_files.CARD in hf.WANTED


def test_a_pair_without_exceptions_has_no_file_of_them(tmp_path: pathlib.Path) -> None:
    with exceptions.Collector(tmp_path) as collector:
        assert (collector.write(tmp_path, metadata={}), collector.count) == ({}, 0)
    assert exceptions.open_folder(tmp_path) == {}


@pytest.mark.parametrize(
    ("cards", "licence"),
    [
        (("license: apache-2.0", "license: apache-2.0"), "apache-2.0"),
        (("license: llama3.1", "license: mit"), "other"),
        (("license: 'mit'\ntags: [x]", None), "other"),
        ((None, None), "unknown"),
        (("license: !!python/object:os.system x", "title: license: mit"), "unknown"),
    ],
)
def test_the_card_names_the_licence_of_the_models(
    tmp_path: pathlib.Path, pair: builders.Pair, cards: tuple[str | None, str | None], licence: str
) -> None:
    for model, card in zip((pair.base, pair.instruct), cards, strict=True):
        if card:
            (model / "README.md").write_text(f"---\n{card}\n---\n# A model\nlicense: not-this\n")
    text = (stored(tmp_path / "ws", pair) / "README.md").read_text()
    assert f'license: "{licence}"' in text.split("---")[1]


def test_the_card_names_models_of_the_hub_and_no_other_place() -> None:
    places = {"base": f"hf://org/base@{'1' * 40}", "instruct": "pvc://models/secret/instruct"}
    names = {role: model_card.hub_name(uri) for role, uri in places.items()}
    text = model_card.of_residual(names, dict.fromkeys(places, "mit"), {"weights": 7})
    assert 'base_model: ["org/base"]' in text
    assert "secret" not in text


def test_encodings_are_told_apart_by_the_description(tmp_path: pathlib.Path, pair: builders.Pair) -> None:
    assert stored_residual.read_description(stored(tmp_path / "ws", pair)).encoding == Encoding.DIFFERENCE
