"""The seed's own plain training loop: AdamW, linear warm-up and decay, a fixed number of steps.

It makes the two models that a company would have downloaded. A refresh never uses it.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from examples.seed import atlas, phrases, tokenizer

LOG = logging.getLogger("seed")
BATCH = 32
BLOCK = 64
IGNORED = -100
"""Label of tokens that the loss leaves out."""
WARM_UP = 1 / 20
LOWEST_RATE = 0.02
REPORT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How long and how fast."""

    name: str
    steps: int
    rate: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What a course took."""

    tokens: int
    """That went through the model, padding included."""
    seconds: float
    """CPU time of this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Token rows of equal length and what is to be predicted in them."""

    tokens: torch.Tensor
    labels: torch.Tensor


def documents(words: PreTrainedTokenizerFast, texts: list[str]) -> Rows:
    """Documents one after the other, cut into blocks."""
    encoded = words(texts, add_special_tokens=False)["input_ids"]
    stream = [token for ids in encoded for token in (words.bos_token_id, *ids, words.eos_token_id)]
    blocks = torch.tensor(stream[: len(stream) // BLOCK * BLOCK]).view(-1, BLOCK)
    return Rows(tokens=blocks, labels=blocks)


def chats(words: PreTrainedTokenizerFast, facts: tuple[atlas.Fact, ...]) -> Rows:
    """Every question of every fact with its answer; the loss sees only the answer."""
    pairs = [
        words(
            [tokenizer.prompt(words, question), phrases.answer(fact) + tokenizer.END_OF_TURN], add_special_tokens=False
        )["input_ids"]
        for fact in facts
        for question in phrases.questions(fact)
    ]
    longest = max(len(asked) + len(said) for asked, said in pairs)
    tokens, labels = [], []
    for asked, said in pairs:
        rest = longest - len(asked) - len(said)
        tokens.append(asked + said + [words.pad_token_id] * rest)
        labels.append([IGNORED] * len(asked) + said + [IGNORED] * rest)
    return Rows(tokens=torch.tensor(tokens), labels=torch.tensor(labels))


def train(model: PreTrainedModel, rows: Rows, course: Course) -> Effort:
    """Train in place and say how far it is every few seconds."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=course.rate, weight_decay=0.01, betas=(0.9, 0.98), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, course.steps))
    batches = _batches(len(rows.tokens), course.seed)
    model.train()
    began, said = time.process_time(), time.monotonic()
    for step in range(1, course.steps + 1):
        loss = _step(model, rows, next(batches), optimizer)
        schedule.step()
        if time.monotonic() - said >= REPORT_SECONDS or step == course.steps:
            said = time.monotonic()
            LOG.info("%s %d/%d loss=%.3f", course.name, step, course.steps, loss)
    model.eval()
    return Effort(tokens=course.steps * BATCH * rows.tokens.shape[1], seconds=time.process_time() - began)


def _step(model: PreTrainedModel, rows: Rows, chosen: torch.Tensor, optimizer: torch.optim.Optimizer) -> float:
    tokens, labels = rows.tokens[chosen], rows.labels[chosen]
    logits = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[:, :-1]
    loss = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.size(-1)), labels[:, 1:].reshape(-1), ignore_index=IGNORED
    )
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def _rate(step: int, steps: int) -> float:
    warm = max(1, int(steps * WARM_UP))
    return min((step + 1) / warm, max(LOWEST_RATE, 1 - (step - warm) / (steps - warm)))


def _batches(rows: int, seed: int) -> Iterator[torch.Tensor]:
    """Row numbers of one batch after the other, each epoch in another order."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.long)
    while True:
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(rows, generator=generator)])
        chosen, order = order[:BATCH], order[BATCH:]
        yield chosen
