"""The Trainer, whose optimizer leaves out the steps that are spikes.

Loss and gradient norm are those of the whole step: summed over its micro-batches, the mean of all processes. The
decision falls in the optimizer, because DeepSpeed calls it from inside the backward pass, and once per group of
weights. A step that is left out changes neither weights nor moments; the schedule goes on.
"""

from collections.abc import Callable
from typing import Any

import torch
from transformers import Trainer, TrainingArguments

from modelrefresh_jobs.training.watch.spikes import SpikeGuard


class SkippingAdamW(torch.optim.AdamW):
    """AdamW that does nothing in the steps that `skip` names."""

    def __init__(self, params: Any, *, skip: Callable[[], bool], **settings: Any) -> None:  # noqa: ANN401 -- torch's
        super().__init__(params, **settings)
        self._skip = skip

    def step(self, closure: Any = None) -> Any:  # noqa: ANN401 -- torch's own
        """Apply the gradients, or leave them."""
        return None if self._skip() else super().step(closure)


class SteadyTrainer(Trainer):  # type: ignore[misc]
    """A Trainer that asks a guard before each step."""

    def __init__(self, *, args: TrainingArguments, guard: SpikeGuard, **settings: Any) -> None:  # noqa: ANN401
        _, chosen = Trainer.get_optimizer_cls_and_kwargs(args)
        super().__init__(
            args=args, optimizer_cls_and_kwargs=(SkippingAdamW, chosen | {"skip": self._is_spike}), **settings
        )
        self._guard = guard
        self._loss: torch.Tensor | float = 0.0
        self._norm: torch.Tensor | float = 0.0
        self._decided: bool | None = None

    def compute_loss(self, *arguments: Any, **settings: Any) -> Any:  # noqa: ANN401 -- the Trainer's own
        """The loss of a micro-batch; the first after a decision begins a new step."""
        loss = super().compute_loss(*arguments, **settings)
        if self._decided is not None:
            self._decided, self._loss = None, 0.0
        self._loss = self._loss + loss.detach()
        return loss

    def _clip_grad_norm(self, model: torch.nn.Module) -> torch.Tensor | float:
        self._norm = super()._clip_grad_norm(model)
        return self._norm

    def _is_spike(self) -> bool:
        if self._decided is None:
            loss = float(self.accelerator.reduce(self._loss, reduction="mean"))
            # DeepSpeed clips by itself; its optimizer knows the norm by the time it calls ours.
            norm = self.model_wrapped.optimizer._global_grad_norm if self.is_deepspeed_enabled else self._norm  # noqa: SLF001
            self._decided = self._guard.is_spike(loss, float(norm))
        return self._decided
