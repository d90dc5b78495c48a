"""What several processes tell each other, what one process does in their place, and how each of them ends."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import torchrun

from ncsn_edu import distributed

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

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


def test_the_installed_command_leaves_at_once_too():
    place, name = re.search(r'^ncsn-edu = "(.+):(.+)"', (ROOT / "pyproject.toml").read_text(), re.M).groups()
    program = f"""
import atexit, sys
from {place} import {name}
atexit.register(print, "taken apart")
sys.argv = ["ncsn-edu", "data", "list"]
sys.exit({name}())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT | {"WORLD_SIZE": "2"}, capture_output=True, text=True
    )
    assert done.returncode == 0 and "cifar10" in done.stdout and "taken apart" not in done.stdout


ENDING = """
import builtins, sys, time
import torch
from torch import nn
from ncsn_edu import distributed as d
from ncsn_edu.training import train

ends, late = sys.argv[1], float(sys.argv[2])

class Late:  # the interpreter is still being taken apart when Gloo's thread comes back
    def __del__(self, sleep=time.sleep, seconds=2 * late):
        sleep(seconds)

def work():
    rows = lambda model, x: (model(x) - x.roll(1, 1)).square().sum(1)
    with d.process_group(d.local_device("cpu")):
        for state in train(nn.Linear(3, 3), iter(torch.randn(4, 8, 3)), objective=rows, n_steps=3):
            d.gather(state.losses)
        last = torch.distributed.all_reduce(torch.zeros(1), async_op=True)
        last.get_future().then(lambda done: time.sleep(late))  # in Gloo's thread, which needs the interpreter after it
        if ends == "fails":
            raise OSError

builtins.late, code = Late(), 0
try:
    work()
except OSError:
    code = 3
print("said", flush=False)
d.leave(code)
"""


@pytest.mark.parametrize(("ends", "code"), [("is done", 0), ("fails", 3)])
def test_a_process_ends_with_its_code_whatever_the_thread_of_gloo_still_does(ends, code, tmp_path):
    """By hand with NCSN_EDU_ENDS=50: no process aborts. By sys.exit each whose thread is late does, every other run."""
    (tmp_path / "worker.py").write_text(ENDING, encoding="utf-8")
    found = []
    for run in range(int(os.environ.get("NCSN_EDU_ENDS", "1"))):
        late = "0" if run % 2 else "0.5"
        done = torchrun(str(tmp_path / "worker.py"), ends, late, env=ENVIRONMENT)
        codes = {int(each) for each in re.findall(r"exitcode *: (-?\d+)", done.stderr)} or {done.returncode}
        found.append((codes - {-15}, done.stdout.count("said") > 0))  # torchrun ends the other one by SIGTERM
    assert found == [({code}, True)] * len(found), f"{sum(each != ({code}, True) for each in found)} of {len(found)}"
