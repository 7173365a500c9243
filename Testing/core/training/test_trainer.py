import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from FlareMRCore.cli.interrupts import Cancellation, watch_signals
from FlareMRCore.errors import Cancelled, UsageError, WeightsError
from FlareMRCore.progress import SilentReporter
from FlareMRCore.training.checkpoint import State, load_checkpoint
from FlareMRCore.training.curves import read_curves
from FlareMRCore.training.learning_parameters import Averaging, Optimization, TrainerParameters
from FlareMRCore.training.trainer import Batch, TrainingTask, train

sys.path.insert(0, str(Path(__file__).parent))
from toy_task import ALONE, toy_task

TEACHER = Averaging("teacher", 0.9)


def _train(
    folder: Path,
    task: TrainingTask,
    parameters: TrainerParameters,
    reporter: SilentReporter | None = None,
) -> State:
    return train(task, parameters, folder, reporter=reporter or SilentReporter(), processes=ALONE)


def _stop_after(steps: int) -> SilentReporter:
    calls = iter(range(10**6))
    return SilentReporter(is_cancelled=lambda: next(calls) >= steps)


def _equal(first: State, second: State) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "adabelief"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_n_steps_and_n_more_are_two_n_steps(tmp_path: Path, name: str, precision: str) -> None:
    """With dropout, a moving average, tensors the task remembers and, in float16, the scaler."""
    optimization = Optimization(name, 0.02, weight_decay=0.01, clip_norm=1.0)  # type: ignore[arg-type]
    parameters = TrainerParameters(8, 1, 100, precision, TEACHER)  # type: ignore[arg-type]
    straight = _train(tmp_path / "straight", toy_task(optimization, dropout=0.3), parameters)
    with pytest.raises(Cancelled):
        _train(tmp_path / "cut", toy_task(optimization, dropout=0.3), parameters, _stop_after(4))
    torch.randn(100)  # what the interrupted process drew must not matter
    resumed = _train(tmp_path / "cut", toy_task(optimization, dropout=0.3), parameters)
    assert _equal(straight, resumed)
    ends = [load_checkpoint(tmp_path / n / "checkpoint.pt") for n in ("straight", "cut")]
    assert _equal(ends[0]["network"], ends[1]["network"])
    assert ends[0]["scaler"] == ends[1]["scaler"]
    assert torch.equal(*(end["processes"][0]["memory"]["seen"] for end in ends))
    assert torch.equal(*(end["processes"][0]["random"]["torch"] for end in ends))
    curves = [read_curves(tmp_path / n / "curve.csv") for n in ("straight", "cut")]
    assert curves[0]["loss"].tolist() == curves[1]["loss"].tolist()


def test_the_loss_falls_and_the_average_lags(tmp_path: Path) -> None:
    task = toy_task(Optimization("adamw", 0.03))
    state = _train(tmp_path, task, TrainerParameters(60, averaging=Averaging("constant", 0.9)))
    losses = read_curves(tmp_path / "curve.csv")["loss"]
    assert losses[-10:].mean() < 0.6 * losses[:10].mean()
    assert not _equal(state, task.network.state_dict())


def test_sigterm_saves_and_stops(tmp_path: Path) -> None:
    cancellation = Cancellation()
    task = toy_task(Optimization())

    def draw(step: int) -> Batch:
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return task.draw(step)

    reporter = SilentReporter(is_cancelled=cancellation)
    with watch_signals(cancellation), pytest.raises(Cancelled):
        _train(tmp_path, replace(task, draw=draw), TrainerParameters(10), reporter)
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 4


def test_groups_are_updated_in_order_and_alone(tmp_path: Path) -> None:
    """The second loss is computed by a network whose first part has already moved."""
    parts = {"first": ("0.",), "second": ("3.",)}
    optimization = Optimization("sgd", 0.1, momentum=0.0)
    task = toy_task(optimization, parts=parts)
    seen = []

    def objectives(batch: Batch, state: object):  # type: ignore[no-untyped-def]
        for objective in task.objectives(batch, state):  # type: ignore[arg-type]
            seen.append({n: v.clone() for n, v in task.network.state_dict().items()})
            yield objective
        seen.append(task.network.state_dict())

    _train(tmp_path, replace(task, objectives=objectives), TrainerParameters(1))
    before, between, after = seen
    assert {n for n in before if not torch.equal(before[n], between[n])} == {"0.weight", "0.bias"}
    assert {n for n in before if not torch.equal(between[n], after[n])} == {"3.weight", "3.bias"}
    row = read_curves(tmp_path / "curve.csv")
    assert row["loss"][0] == pytest.approx(row["first"][0] + row["second"][0], rel=1e-4)


def test_a_loss_that_is_not_finite_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    task = toy_task(Optimization())

    def draw(step: int) -> Batch:
        batch = task.draw(step)
        spoiled = batch.tensors["image"] * (float("nan") if step == 5 else 1.0)
        return Batch({**batch.tensors, "image": spoiled}, batch.case_ids)

    with pytest.raises(WeightsError, match="labeled"):
        _train(tmp_path, replace(task, draw=draw), TrainerParameters(9, checkpoint_every=2))
    kept = load_checkpoint(tmp_path / "not-finite.pt")
    assert bool(kept["image"].isnan().all())
    assert len(kept["case_ids"]) == 6
    content = load_checkpoint(tmp_path / "checkpoint.pt")
    assert content["step"] == 4
    assert all(bool(value.isfinite().all()) for value in content["network"].values())


def test_gradients_are_clipped(tmp_path: Path) -> None:
    optimization = Optimization("sgd", 1.0, momentum=0.0, clip_norm=1e-3)
    task = toy_task(optimization)
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    after = _train(tmp_path, task, TrainerParameters(1))
    moved = torch.cat([(after[name] - before[name]).flatten() for name in before])
    assert float(moved.norm()) == pytest.approx(1e-3, rel=1e-3)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    _train(tmp_path, toy_task(Optimization()), TrainerParameters(1))
    with pytest.raises(UsageError, match="other parameters"):
        _train(tmp_path, toy_task(Optimization("sgd")), TrainerParameters(1))
