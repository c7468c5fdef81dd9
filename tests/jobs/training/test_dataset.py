"""Packed blocks as training examples: documents stay apart, and the order is a function of the step."""

import pathlib

import numpy as np
import pytest
import torch
import transformers

from modelrefresh_jobs.corpus import packing
from modelrefresh_jobs.training import dataset
from tests.jobs import builders

FIRST, SECOND = tuple(range(5, 17)), tuple(range(40, 60))


def packed(*documents: tuple[int, ...], folder: pathlib.Path, length: int = 32) -> packing.Blocks:
    writer = packing.BlockWriter(folder / "raw", sequence_length=length, padding_token=0)
    for document in documents:
        writer.add(document)
    return writer.close()


@pytest.mark.parametrize("arch", [builders.LLAMA, builders.QWEN2])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_what_a_model_says_to_a_document_does_not_depend_on_its_neighbours(
    tmp_path: pathlib.Path, arch: str, attention: str
) -> None:
    folder = builders.tiny_model(tmp_path / "model", arch=arch)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation=attention)
    tokens, marks = packed(FIRST, SECOND, folder=tmp_path)
    batch = dataset.collate([dataset.example(tokens[0], marks[0])])
    with torch.no_grad():
        together = model(**batch, use_cache=False).logits[0, len(FIRST) :]
        alone = model(torch.tensor([SECOND])).logits[0]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_nothing_is_learnt_across_a_boundary_or_from_padding(tmp_path: pathlib.Path) -> None:
    tokens, marks = packed(FIRST, SECOND, FIRST, folder=tmp_path)
    one, two = (dataset.example(tokens[row], marks[row]) for row in (0, 1))
    assert one["labels"].tolist() == [-100, *FIRST[1:], -100, *SECOND[1:]]
    assert two["labels"].tolist() == [-100, *FIRST[1:], *[-100] * 20]
    assert one["position_ids"].tolist() == [*range(12), *range(20)]
    assert two["position_ids"].tolist() == [*range(12), *range(20)]


def test_a_document_that_is_cut_goes_on_in_the_next_block(tmp_path: pathlib.Path) -> None:
    tokens, marks = packed(tuple(range(100, 148)), folder=tmp_path)
    assert tokens.ravel()[:48].tolist() == list(range(100, 148))
    assert marks[1][0] == packing.REST


def test_each_pass_meets_every_block_once_in_another_order(tmp_path: pathlib.Path) -> None:
    many = packed(*[(number,) * 8 for number in range(20)], folder=tmp_path, length=8)
    examples = dataset.Blocks(many, examples=40, length=40, seed=1)
    met = [int(examples[index]["input_ids"][0]) for index in range(40)]
    assert sorted(met[:20]) == sorted(met[20:]) == list(range(20))
    assert met[:20] != met[20:]


def test_an_example_depends_on_seed_and_index_alone(tmp_path: pathlib.Path) -> None:
    many = packed(*[(number,) * 8 for number in range(20)], folder=tmp_path, length=8)
    forward = [dataset.Blocks(many, examples=40, length=40, seed=1)[index]["input_ids"] for index in range(40)]
    fresh = dataset.Blocks(many, examples=40, length=40, seed=1)
    assert all(torch.equal(fresh[index]["input_ids"], forward[index]) for index in (39, 3, 21, 0))
    other = [dataset.Blocks(many, examples=40, length=40, seed=2)[index]["input_ids"] for index in range(40)]
    assert not all(torch.equal(one, two) for one, two in zip(forward, other, strict=True))


def test_tokens_and_passes_are_counted_example_by_example(tmp_path: pathlib.Path) -> None:
    many = packed(*[(number,) * 8 for number in range(5)], (9, 9, 9), folder=tmp_path, length=8)
    examples = dataset.Blocks(many, examples=15, length=16, seed=3)
    sizes = [int((examples[index]["labels"] != -100).sum()) + 1 for index in range(15)]
    assert sorted(sizes[:6]) == [3, 8, 8, 8, 8, 8]
    assert [examples.tokens(count) for count in range(16)] == [sum(sizes[:count]) for count in range(16)]
    assert examples.tokens(16) == examples.tokens(15)
    assert (examples.passes(3), examples.passes(16)) == (0.5, 2.5)


def test_examples_that_fill_a_step_hold_nothing_to_learn(tmp_path: pathlib.Path) -> None:
    many = packed(*[(number,) * 8 for number in range(3)], folder=tmp_path, length=8)
    examples = dataset.Blocks(many, examples=3, length=4, seed=0)
    assert len(examples) == 4
    assert set(examples[3]["labels"].tolist()) == {-100}
    assert examples[3].keys() == examples[2].keys()


def test_a_block_without_a_label_is_never_met(tmp_path: pathlib.Path) -> None:
    many = packed((5,) * 8, (6,), folder=tmp_path, length=8)
    assert packing.learnable(many[1]).tolist() == [0]
    examples = dataset.Blocks(many, examples=4, length=4, seed=0)
    assert all((examples[index]["labels"] != -100).any() for index in range(4))


def test_positions_start_again_where_padding_begins() -> None:
    marks = np.array([packing.REST, packing.REST, packing.START, packing.PADDING, packing.PADDING], np.uint8)
    assert packing.positions(marks).tolist() == [0, 1, 0, 0, 1]
