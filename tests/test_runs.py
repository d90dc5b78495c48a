"""Runs in a folder: stopped at any moment, resumed exactly, and never mixed up."""

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import started, torchrun
from waiting import PATIENCE, wait_for

from ncsn_edu import checkpoints
from ncsn_edu.__main__ import main
from ncsn_edu.datasets import load
from ncsn_edu.logs import read_log, summary
from ncsn_edu.recipes import RECIPES, LogUniform, changed, from_json, to_json
from ncsn_edu.runs import RecipeChanged, run

ROOT = Path(__file__).resolve().parents[1]
RECIPE = changed(RECIPES["digits_unet"]["smoke"], n_steps=30)
IMAGES = load("digits")[0]


def go(folder: Path, *, stop: int | None = None, recipe=RECIPE, **options) -> None:
    """Run to the end, or leave the loop after `stop` steps."""
    states = run(recipe, IMAGES, folder, log_every=5, save_every=10, **options)
    for state in states:
        if state.step == stop:
            states.close()


def equal(a, b) -> bool:
    """The same numbers in the same places, to the last bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def end_of(folder: Path) -> dict:
    content = checkpoints.Folder(folder).latest()
    return {key: content[key] for key in ("step", "model", "ema", "optimiser", "generators", "batches")}


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run without a stop."""
    folder = tmp_path_factory.mktemp("whole")
    go(folder)
    return folder


def test_a_run_leaves_checkpoints_and_a_log(whole):
    assert sorted(p.name for p in whole.glob("*.ckpt")) == ["best.ckpt", "step-000000020.ckpt", "step-000000030.ckpt"]
    log = lines(whole)
    assert [line["step"] for line in log] == [5, 10, 15, 20, 25, 30]
    assert all(len(line["levels"]) == 10 for line in log)
    best = checkpoints.load(whole / "best.ckpt")
    assert best["loss"] == pytest.approx(min(line["loss"] for line in log if line["step"] % 10 == 0), rel=1e-5)
    assert from_json(best["recipe"]) == RECIPE and best["seed"] == 0


def test_a_run_saves_by_the_clock(tmp_path, monkeypatch):
    """With a clock that goes a minute on at each look, a save is due after every few lines of the log."""
    now = iter(range(0, 10**9, 60))
    monkeypatch.setattr("ncsn_edu.runs.time.monotonic", lambda: float(next(now)))
    saved = []
    real = checkpoints.Folder.save
    monkeypatch.setattr(checkpoints.Folder, "save", lambda s, c, **o: saved.append(c["step"]) or real(s, c, **o))
    for _ in run(RECIPE, IMAGES, tmp_path, log_every=1, save_minutes=10):
        pass
    assert len(saved) > 3 and saved[-1] == 30 and saved != list(range(1, 31))
    saved.clear()
    for _ in run(RECIPE, IMAGES, tmp_path / "long", log_every=1, save_minutes=1e6):
        pass
    assert saved == [30]


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a folder."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_shows_the_log(whole):
    log, shown = lines(whole), curves(whole)
    assert [step for step, _ in shown["loss"]] == [line["step"] for line in log]
    assert [value for _, value in shown["loss"]] == pytest.approx([line["loss"] for line in log], rel=1e-6)
    third = [(line["step"], line["levels"][2]) for line in log if line["levels"][2] is not None]
    assert shown["loss by level/003"] == [(step, pytest.approx(value, rel=1e-6)) for step, value in third]
    assert len(shown) == 11


def test_tensorboard_shows_a_step_once_after_a_kill(whole, tmp_path):
    go(tmp_path, stop=17)
    (tmp_path / "step-000000017.ckpt").unlink()  # as a killed process leaves it: events after the last checkpoint
    go(tmp_path, resume=True)
    assert curves(tmp_path)["loss"] == curves(whole)["loss"]


def test_tensorboard_shows_nothing_of_a_run_that_was_overwritten(tmp_path):
    command = ["train", "digits_unet", "--scale", "smoke", "--out", str(tmp_path)]
    assert main([*command, "--steps", "20"]) == main([*command, "--steps", "10", "--force"]) == 0
    assert [step for step, _ in curves(tmp_path)["loss"]] == [10]


def test_without_tensorboard_a_run_is_the_same(whole, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    go(tmp_path)
    assert equal(end_of(tmp_path), end_of(whole)) and not list(tmp_path.glob("events.*"))


@pytest.mark.parametrize("stops", [[7], [10], [1, 2, 29]])
def test_resuming_gives_the_same_to_the_last_bit(whole, tmp_path, stops):
    for number, stop in enumerate([*stops, None]):
        go(tmp_path, stop=stop, resume=number > 0)
    assert equal(end_of(tmp_path), end_of(whole))
    assert [line["step"] for line in lines(tmp_path)] == [5, 10, 15, 20, 25, 30]


def test_a_run_can_be_made_longer(whole, tmp_path):
    go(tmp_path, recipe=changed(RECIPE, n_steps=20))
    go(tmp_path, resume=True)
    assert equal(end_of(tmp_path), end_of(whole))


def test_the_average_in_a_checkpoint_is_a_net_that_works(whole):
    net = RECIPE.build(1, 8)
    net.load_state_dict(checkpoints.load(whole / "best.ckpt")["ema"])
    assert net(torch.rand(2, 1, 8, 8), 0.1).isfinite().all()


def test_folders_are_not_mixed_up(whole, tmp_path):
    with pytest.raises(FileExistsError, match="holds a run already"):
        go(whole)
    with pytest.raises(FileNotFoundError, match="no checkpoint to resume from"):
        go(tmp_path, resume=True)
    with pytest.raises(RecipeChanged, match=r"lr 0\.001 -> 0\.01"):
        go(whole, resume=True, recipe=changed(RECIPE, lr=0.01))
    with pytest.raises(RecipeChanged, match="seed 0 -> 1"):
        go(whole, resume=True, seed=1)


def test_a_run_of_before_there_was_a_setting_goes_on(whole, tmp_path):
    go(tmp_path, recipe=changed(RECIPE, n_steps=20))
    content = checkpoints.Folder(tmp_path).latest()
    del content["recipe"]["optimisation"]["cooldown"]
    checkpoints.Folder(tmp_path).save(content, loss=0.0)
    go(tmp_path, resume=True)
    assert equal(end_of(tmp_path)["model"], end_of(whole)["model"])
    with pytest.raises(RecipeChanged, match="warmup 0 -> 3"):
        go(tmp_path, resume=True, recipe=changed(RECIPE, warmup=3))


def test_a_run_of_another_version_is_refused_in_words(tmp_path):
    go(tmp_path, stop=10)
    for recipe in ({"data": "digits", "net": "unet", "lr": 0.001}, {**to_json(RECIPE), "colour": "red"}):
        content = checkpoints.Folder(tmp_path).latest() | {"recipe": recipe}
        checkpoints.Folder(tmp_path).save(content, loss=0.0)
        with pytest.raises(RecipeChanged, match=r"of another version \(.*start anew in another --out"):
            go(tmp_path, resume=True)


def test_the_rate_rises_again_after_weights_alone_and_so_it_does_after_a_stop(whole, tmp_path):
    """The new optimiser has seen nothing: with a warmup of 4 its first steps are a quarter, a half ... of the rate."""
    recipe = changed(RECIPE, warmup=4, n_steps=40)
    net = RECIPE.build(1, 8)
    net.load_state_dict(checkpoints.Folder(whole).latest()["ema"])

    found = []
    real = torch.optim.Adam.step

    def step(self, *words, **more):
        found.append(self.param_groups[0]["lr"] / recipe.optimisation.lr)
        return real(self, *words, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", step)
        states = run(recipe, IMAGES, tmp_path, log_every=5, start=(net, 30))
        next(states), next(states)
        states.close()
        next(run(recipe, IMAGES, tmp_path, log_every=5, resume=True))
    assert found == [0.25, 0.5, 0.75]


def test_weights_begin_a_run_that_differs_in_training_alone(whole, tmp_path, monkeypatch):
    """Dropout and how levels are drawn change what is learned, and not what the weights fit."""
    scales = {"smoke": replace(changed(RECIPE, dropout=0.2, n_steps=31), noise=LogUniform())}
    monkeypatch.setattr("ncsn_edu.recipes.RECIPES", {"other": scales})
    command = ["train", "other", "--scale", "smoke", "--from", str(whole)]
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    assert main([*command, "--lr", "0.1", "--steps", "30", "--out", str(tmp_path / "b")]) == 1


def test_a_run_may_be_given_another_end(whole, tmp_path):
    """Stopped, and resumed with a learning rate that falls: as if that had been said from the start."""
    falling = changed(RECIPE, cooldown=10)
    go(tmp_path / "a", stop=20)
    go(tmp_path / "a", resume=True, recipe=falling)
    go(tmp_path / "b", recipe=falling)
    assert equal(end_of(tmp_path / "a")["model"], end_of(tmp_path / "b")["model"])
    assert not equal(end_of(tmp_path / "a")["model"], end_of(whole)["model"])


def test_a_step_that_was_cut_short_is_not_saved(tmp_path, monkeypatch):
    """An interruption in the middle of a step leaves parameters of no step: the checkpoint before it must stay."""
    states = run(RECIPE, IMAGES, tmp_path, log_every=5, save_every=10)
    for _ in range(12):
        next(states)

    def cut(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.optim.Adam, "step", cut)
    with pytest.raises(KeyboardInterrupt):
        next(states)
    assert [path.name for path in checkpoints.Folder(tmp_path).steps()] == ["step-000000010.ckpt"]


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(tmp_path, monkeypatch, capsys):
    from ncsn_edu import losses

    monkeypatch.chdir(tmp_path)
    calls, dsm = [], losses.dsm

    def spoiled(*arguments, **options):
        calls.append(1)
        return dsm(*arguments, **options) * (float("nan") if len(calls) == 13 else 1)

    monkeypatch.setattr(losses, "dsm", spoiled)
    assert main(["train", "digits_unet", "--scale", "smoke", "--out", "x"]) == 1
    said = capsys.readouterr().err
    assert "nan at step 13, level" in said and "No checkpoint had been written yet" in said
    assert not list(Path("x").rglob("*.ckpt"))
    calls.clear()
    calls.extend([1] * 20)  # none of the next ten
    assert main(["train", "digits_unet", "--scale", "smoke", "--steps", "10", "--out", "y"]) == 0
    calls.clear()
    assert main(["train", "digits_unet", "--scale", "smoke", "--steps", "30", "--out", "y", "--resume"]) == 1
    said = capsys.readouterr().err
    assert "nan at step 23, level" in said
    kept = re.search(r"The last good checkpoint is (\S+)", said)[1]
    assert checkpoints.load(Path(kept))["step"] == 10


@pytest.mark.parametrize("words", ["MPS backend out of memory (MPS allocated: 9 GB)", "can't allocate memory: you"])
def test_too_little_memory_is_said_in_words_wherever_it_shows(words, tmp_path, monkeypatch, capsys):
    """On the way to the device, before there is a step; and in a step."""
    monkeypatch.chdir(tmp_path)

    def full(*_, **__):
        raise RuntimeError(words)

    for place, name in ((torch.nn.Module, "to"), (torch.optim.Adam, "step")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, full)
            assert main(["train", "digits_unet", "--scale", "smoke", "--out", name]) == 1
        said = capsys.readouterr().err
        assert "too little memory for batches of 16 on cpu: give a smaller --batch" in said and said.count("\n") == 1


@pytest.mark.parametrize("more", [{"compiled": True}, {"compiled": "reduce-overhead"}])
def test_what_is_trained_by_its_parts_is_not_said_to_be_compiled(more):
    images = torch.zeros(20, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match="VAE is trained by its encoder and its decoder.*leave out --compile"):
        RECIPES["vae_digits"]["smoke"].training(images, **more)


def test_what_is_trained_by_its_parts_is_not_shared(monkeypatch):
    from ncsn_edu import distributed

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    with pytest.raises(ValueError, match="neither by several processes.*start it without torchrun"):
        RECIPES["vae_digits"]["smoke"].training(torch.zeros(20, 1, 8, 8, dtype=torch.uint8))


COMMAND = [sys.executable, "-m", "ncsn_edu", "train", "digits_unet", "--scale", "smoke", "--steps", "200"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NCSN_EDU_PROGRESS": "0"}


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_kill_9_at_random_moments(tmp_path):
    """By hand with NCSN_EDU_KILLS=20: the end of a run that was killed so often is that of one that was not."""
    kills = int(os.environ.get("NCSN_EDU_KILLS", "2"))
    command = [*COMMAND, "--out", str(tmp_path / "killed")]
    draw, killed, grew = random.Random(0), 0, False
    while True:
        # Checkpoints are written every ten minutes and here, by a patched default, every 20 steps: kills hit them too.
        program = "import sys; from ncsn_edu import runs; runs.run.__kwdefaults__['save_every'] = 20; "
        program += "from ncsn_edu.__main__ import main; sys.exit(main(sys.argv[1:]))"
        there = bool(checkpoints.Folder(tmp_path / "killed").steps())
        arguments = [*command[3:], "--resume"] if there else [*command[3:], "--force"]
        with started([sys.executable, "-c", program, *arguments], env=ENVIRONMENT, cwd=tmp_path) as process:
            if killed == kills:
                assert process.wait(timeout=300) == 0
                break
            grew = wait_for_progress(tmp_path / "killed", process)
            time.sleep(draw.uniform(0, 0.5))
            process.send_signal(signal.SIGKILL)
            killed += 1
    assert grew
    subprocess.run([*COMMAND, "--out", str(tmp_path / "whole")], env=ENVIRONMENT, cwd=tmp_path, check=True)
    assert equal(end_of(tmp_path / "killed"), end_of(tmp_path / "whole"))


def wait_for_progress(folder: Path, process: subprocess.Popen) -> bool:
    """Until the log has grown, so that something is there to be lost."""
    log = folder / "log.jsonl"
    before = log.read_text() if log.exists() else ""

    def grown() -> bool:
        return log.exists() and len(log.read_text()) > len(before)

    wait_for(lambda: grown() or process.poll() is not None, "the log has grown", every=0.01)
    return grown()


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path):
    command = [*COMMAND[:-1], "100000", "--out", "x"]
    with started(command, env=ENVIRONMENT, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert wait_for_progress(tmp_path / "x", process)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 130
    step = checkpoints.Folder(tmp_path / "x").latest()["step"]
    assert f"stopped after {step} of 100000 steps; resume with: python -m ncsn_edu train digits_unet" in said
    assert said.rstrip().endswith("--out x --resume")


def test_minutes_end_a_slice_and_the_next_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["train", "digits_unet", "--scale", "smoke", "--steps", "30", "--lr", "0.002", "--warmup", "3"]
    assert main([*command, "--minutes", "0.0001", "--out", "x"]) == 0
    said = capsys.readouterr().out
    assert (
        "stopped after 1 of 30 steps; resume with: python -m ncsn_edu train digits_unet --scale smoke --steps 30"
        in said
    )
    again = said.rsplit("python -m ncsn_edu ")[-1].split()
    assert again[-3:] == ["--out", "x", "--resume"] and "0.002" in again
    again[again.index("--minutes") + 1] = "5"
    assert main(again) == 0
    assert main([*command, "--out", "y"]) == 0
    assert equal(end_of(tmp_path / "x"), end_of(tmp_path / "y"))
    seconds = [line["seconds"] for line in lines(tmp_path / "x")]
    assert len(seconds) == 3 and seconds == sorted(seconds)


def test_a_run_under_way_is_given_another_end(tmp_path, monkeypatch, capsys):
    """A rate that falls over the last steps is the same whether it was asked for at the beginning or at a stop."""
    monkeypatch.chdir(tmp_path)
    command = ["train", "digits_unet", "--scale", "smoke"]
    assert main([*command, "--steps", "20", "--cooldown", "0", "--out", "x"]) == 0
    ending = [*command, "--steps", "27", "--cooldown", "7"]
    assert main([*ending, "--minutes", "0.0001", "--out", "x", "--resume"]) == 0
    again = capsys.readouterr().out.rsplit("python -m ncsn_edu ")[-1].split()
    assert again[again.index("--cooldown") + 1] == "7"
    again[again.index("--minutes") + 1] = "5"
    assert main(again) == 0
    for out, cooldown in (("y", "7"), ("z", "0")):
        assert main([*command, "--steps", "27", "--cooldown", cooldown, "--out", out]) == 0
    assert equal(end_of(tmp_path / "x"), end_of(tmp_path / "y"))
    assert not equal(end_of(tmp_path / "x"), end_of(tmp_path / "z"))


def test_weights_alone_begin_a_run_with_a_new_optimiser(whole, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["train", "digits_unet", "--scale", "smoke", "--from", str(whole)]
    assert main([*command, "--steps", "31", "--lr", "1e-30", "--out", "x"]) == 0
    note, line = lines(tmp_path / "x")
    assert note == {"step": 30, "note": "from the weights of step 30; the optimiser and the random draws are new"}
    assert line["step"] == 31 and read_log(tmp_path / "x") == [line]
    content = checkpoints.Folder(tmp_path / "x").latest()
    average = checkpoints.Folder(whole).latest()["ema"]
    assert equal(content["model"], average) and equal(content["ema"], average)
    assert content["optimiser"]["state"][0]["step"] == 1
    capsys.readouterr()
    for more, message in (
        (["--steps", "30"], "have 30 steps behind them: ask for more by --steps"),
        (["--scale", "laptop"], "of another net: width is 8 there, and 32 in the recipe"),
        (["--resume"], "give one of them"),
    ):
        assert main([*command, *more, "--out", "z"]) in (1, 2)
        assert message in capsys.readouterr().err
    assert not (tmp_path / "z").exists()


def train_on_two(folder: Path, *more: str) -> str:
    words = (*COMMAND[1:-1], *more, "--out", str(folder))
    done = torchrun(*words, env=ENVIRONMENT, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_train_one_net_and_go_on_exactly(tmp_path, capsys):
    """The command that a cluster runs: torchrun, here with two processes on the CPU."""
    train_on_two(tmp_path / "whole", "40")
    assert train_on_two(tmp_path / "slices", "20").count("on 2 processes, cpu") == 1
    train_on_two(tmp_path / "slices", "40", "--resume")
    whole, slices = (checkpoints.Folder(tmp_path / name).latest() for name in ("whole", "slices"))
    assert equal(whole["model"], slices["model"]) and equal(whole["processes"], slices["processes"])
    first, second = whole["processes"]
    assert not equal(first["batches"]["order"], second["batches"]["order"])  # each draws its own
    assert [line["step"] for line in lines(tmp_path / "slices")] == [10, 20, 30, 40]
    assert main([*COMMAND[3:-1], "50", "--out", str(tmp_path / "whole"), "--resume"]) == 1
    assert "had 2 processes, and this one has 1" in capsys.readouterr().err


FAILS_ON_ONE = """
import os, sys, torch
import ncsn_edu.runs as runs
from ncsn_edu.__main__ import main
from ncsn_edu.distributed import leave

real = runs.run
def run(*words, **options):
    if os.environ["RANK"] == "1":
        raise ValueError("rank 1 found something wrong")
    return real(*words, **options)
runs.run = run
leave(main(sys.argv[1:]))
"""


def test_a_process_that_fails_does_not_wait_for_the_others_and_they_end(tmp_path):
    (tmp_path / "worker.py").write_text(FAILS_ON_ONE, encoding="utf-8")
    words = (*COMMAND[3:-1], "20", "--out", str(tmp_path / "run"))
    done = torchrun(str(tmp_path / "worker.py"), *words, env=ENVIRONMENT, cwd=tmp_path)  # within its time limit
    assert done.returncode != 0 and "ncsn_edu: rank 1 found something wrong" in done.stderr


@pytest.mark.parametrize(
    ("world", "arguments", "message"),
    [
        ({"WORLD_SIZE": "2"}, [], "RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT are not set: start them by torchrun"),
        (
            dict.fromkeys(("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"), "2"),
            ["--device", "cuda:0"],
            "would put all processes on one GPU",
        ),
    ],
)
def test_several_processes_that_cannot_be_are_refused_in_words(
    world, arguments, message, tmp_path, monkeypatch, capsys
):
    for name, value in world.items():
        monkeypatch.setenv(name, value)
    assert main([*COMMAND[3:-1], "20", *arguments, "--out", str(tmp_path / "run")]) == 1
    assert message in capsys.readouterr().err


def test_an_empty_world_size_is_that_of_one_process(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "")
    assert main([*COMMAND[3:-1], "2", "--out", str(tmp_path / "run")]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--minutes", "0"], 2, "not a number above 0"),
        (["--compile", "fast"], 2, "invalid choice: 'fast'"),
        (["--from", "nothing"], 1, "there are no weights 'nothing'"),
        (["--resume"], 1, "no checkpoint to resume from"),
        (["--resume", "--force"], 2, "exclude each other"),
        (["--device", "cuda:7"], 1, "--device cuda:7 cannot be used here"),
        (["--device", "gpu"], 1, "--device gpu cannot be used here"),
        (["--batch", "100000"], 1, "there are 898 images|but there are"),
    ],
)
def test_bad_input(arguments, code, message, tmp_path, monkeypatch, capsys):
    import re

    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits_unet", "--scale", "smoke", *arguments]) == code
    assert re.search(message, capsys.readouterr().err)


def test_a_long_log_in_short():
    log = [
        {"step": 10 * i, "loss": 2.0 * i, "seconds": i / 4, "levels": [float(i), None, 7.0 if i == 1000 else None]}
        for i in range(1, 1001)
    ]
    short = summary(log)
    assert 300 <= len(short["step"]) <= 400 and short["step"][0] == 10
    assert short["loss"] == [step / 5 for step in short["step"]]
    assert short["seconds"] == [step / 40 for step in short["step"]]
    assert short["levels"][0] == 950.5 and short["levels"][2] == 7.0  # the mean of 901 to 1000; of the one that had it
    assert math.isnan(short["levels"][1])
    assert summary(log[:3])["step"] == [10, 20, 30]
    with pytest.raises(ValueError, match="first steps"):
        summary([])
