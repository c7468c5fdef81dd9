"""Optimizer states in the memory of the host: DeepSpeed takes the configuration, and learns the same."""

import json
import subprocess
import sys

import pytest

from tests.jobs import builders

SCRIPT = """
import json, os, sys, torch, deepspeed, transformers
from deepspeed import ops
from modelrefresh.contract.stages.train import TrainInput
from modelrefresh_jobs.training import trainer_arguments
from modelrefresh_jobs.memory.needs import Setting
ops.__compatible_ops__["deepspeed_shm_comm"] = False
torch.distributed.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=0, world_size=1)
deepspeed.init_distributed(dist_backend="gloo", verbose=False)
stage, ids, seen = int(sys.argv[2]), torch.arange(32).reshape(2, 16), []
for offload in (False, True):
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(**json.loads(sys.argv[3])))
    setting = Setting(zero_stage=stage, cards=1, batch_size=2, sequence_length=16, offload=offload)
    config = trainer_arguments.deepspeed(TrainInput(start="file:///x", zero_stage=stage), setting)
    config |= {"gradient_clipping": 1.0, "train_batch_size": 2, "zero_allow_untested_optimizer": True}
    config |= {"train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 1}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    losses = []
    for _ in range(3):
        loss = engine(input_ids=ids, labels=ids).loss
        engine.backward(loss)
        engine.step()
        losses.append(loss.item())
    seen.append((str(engine.zero_use_cpu_optimizer()), losses))
print(json.dumps(seen))
"""
ONE_PROCESS = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29611"}


@pytest.mark.parametrize("stage", [2, 3])
def test_offload_changes_where_the_optimizer_is_and_nothing_that_is_learnt(tmp_path: object, stage: int) -> None:
    config = builders.tiny_config(builders.LLAMA).to_dict()
    words = [sys.executable, "-c", SCRIPT, f"{tmp_path}/exchange", str(stage), json.dumps(config)]
    ran = subprocess.run(words, env=builders.shell() | ONE_PROCESS, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (without, plain), (with_offload, offloaded) = json.loads(ran.stdout.splitlines()[-1])
    assert (without, with_offload) == ("False", "True")
    assert offloaded == pytest.approx(plain, abs=1e-6)
    assert plain[-1] < plain[0]
