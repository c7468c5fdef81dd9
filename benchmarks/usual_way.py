"""What people write for the same work with kept libraries: `datasets` for reading and all cores, `tokenizers`, `rensa`.

Run as `python -m benchmarks.usual_way DATA TOKENIZER OUT PROCESSES`. Near duplicates by the same rule (five-word
shingles, 128 hashes, 0.8), words by white space; the blocks as in the examples of transformers. It has no dates, no
budget, no overlap with suites, and does not mark documents in blocks.
"""

import sys
from typing import Any

import datasets  # type: ignore[import-untyped]
import rensa  # type: ignore[import-untyped]
from tokenizers import Tokenizer

_BLOCK, _SHINGLE = 2048, 5


def main(data: str, tokenizer: str, out: str, processes: int) -> None:
    """Prepare blocks."""
    datasets.disable_progress_bars()
    made, workers = Tokenizer.from_file(tokenizer), processes if processes > 1 else None
    found = datasets.load_dataset("json", data_files=f"{data}/*.jsonl", split="train", cache_dir=f"{out}/cache")
    seen = rensa.RMinHashDeduplicator(threshold=0.8, num_perm=128, use_lsh=True)

    def is_new(batch: dict[str, list[Any]], indices: list[int]) -> list[bool]:
        pairs = []
        for index, text in zip(indices, batch["text"], strict=True):
            words = text.lower().split()
            count = max(1, len(words) - _SHINGLE + 1)
            pairs.append((str(index), [" ".join(words[start : start + _SHINGLE]) for start in range(count)]))
        flags: list[bool] = seen.add_pairs(pairs)
        return flags

    def encoded(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"ids": [[0, *one.ids, 1] for one in made.encode_batch_fast(batch["text"], add_special_tokens=False)]}

    def grouped(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        whole = [token for ids in batch["ids"] for token in ids]
        return {"ids": [whole[start : start + _BLOCK] for start in range(0, len(whole) - _BLOCK + 1, _BLOCK)]}

    found = found.filter(is_new, with_indices=True, batched=True)  # in one process: it remembers what it has seen
    found = found.map(encoded, batched=True, num_proc=workers, remove_columns=found.column_names)
    found = found.map(grouped, batched=True, num_proc=workers)
    found.save_to_disk(f"{out}/blocks")
    print(f"tokens: {_BLOCK * len(found)}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
