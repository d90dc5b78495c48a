"""What several processes tell each other, and what one process does in their place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import torchrun

from ncsn_edu import distributed

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "OMP_NUM_THREADS": "1"}

WORKER = """
import torch
from ncsn_edu import distributed as d

def refuse():
    raise OSError(f"rank {d.rank()} cannot write")

with d.process_group(d.local_device("cpu")):
    me, said = d.rank(), []
    said += [me, d.world_size()]
    said += [d.gather(torch.tensor([[me, 10], [me, 20]])).tolist(), d.gather_object({"rank": me})]
    said += [d.any(False), d.any(me == 1), d.any(True)]
    done = []
    d.first(lambda: done.append(me))
    said += [done]
    try:
        d.first(refuse)
    except OSError as error:
        said += [str(error)]
    d.barrier()
    everything = d.gather_object(said)
if me == 0:
    print(everything, flush=True)
d.leave(0)
"""


def test_two_processes(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    done = torchrun(str(tmp_path / "worker.py"), env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    rows, objects = [[0, 10], [0, 20], [1, 10], [1, 20]], [{"rank": 0}, {"rank": 1}]
    shared = [rows, objects, False, True, True]
    assert done.stdout.strip() == str(
        [[0, 2, *shared, [0], "rank 0 cannot write"], [1, 2, *shared, [], "rank 0 cannot write"]]
    )


def test_one_process_answers_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert (distributed.rank(), distributed.world_size(), distributed.launched()) == (0, 1, False)
    values, model, done = torch.arange(3), torch.nn.Linear(1, 1), []
    assert distributed.gather(values) is values and distributed.gather_object("a") == ["a"]
    assert distributed.any(True) and not distributed.any(False)
    assert distributed.data_parallel(model) is model
    with distributed.process_group("cuda"):  # no group, so no GPU is touched
        distributed.first(lambda: done.append(1))
        distributed.barrier()
    assert done == [1] and distributed.local_device("cuda:3") == "cuda:3"


@pytest.mark.parametrize(("world_size", "at_exit"), [("", "taken apart\n"), ("1", "taken apart\n"), ("2", "")])
def test_one_of_several_leaves_at_once(world_size, at_exit):
    program = "import atexit; from ncsn_edu.distributed import leave; atexit.register(print, 'taken apart'); leave(3)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT | {"WORLD_SIZE": world_size}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.replace("\r", "")) == (3, at_exit)
