import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from FlareMRCore.cli.interrupts import Cancellation, watch_signals
from FlareMRCore.errors import Cancelled, UsageError, WeightsError
from FlareMRCore.progress import SilentReporter
from FlareMRCore.training.checkpoint import State, load_checkpoint
from FlareMRCore.training.curves import read_curves
from FlareMRCore.training.dice_ce import dice_ce
from FlareMRCore.training.learning_parameters import (
    Averaging,
    DiceCE,
    Optimization,
    TrainerParameters,
)
from FlareMRCore.training.trainer import Batch, Objective, TrainingState, TrainingTask, train

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


def test_accumulated_batches_count_as_one(tmp_path: Path) -> None:
    """Two batches of a step move the weights by the mean of their gradients."""
    optimization = Optimization("sgd", 1.0, momentum=0.0)
    task = toy_task(optimization)
    start = {name: value.clone() for name, value in task.network.state_dict().items()}
    moved = []
    for number in (0, 1):
        single = toy_task(optimization)
        offset = replace(single, draw=lambda step, n=number, draw=single.draw: draw(n))
        state = _train(tmp_path / f"{number}", replace(offset, objectives=_plain), _steps(1))
        moved.append(state)
    both = _train(tmp_path / "both", replace(task, objectives=_plain), _steps(1, accumulate=2))
    for name, value in both.items():
        mean = (moved[0][name] + moved[1][name]) / 2
        torch.testing.assert_close(value, mean)
        assert not torch.equal(value, start[name])


def _steps(count: int, **more: int) -> TrainerParameters:
    return TrainerParameters(count, **more)  # type: ignore[arg-type]


def _plain(batch: Batch, state: TrainingState) -> Iterator[Objective]:
    logits = state.network(batch.tensors["image"])
    yield Objective("network", dice_ce(logits, batch.tensors["labels"], DiceCE()))


def test_batches_are_not_accumulated_for_several_optimizers(tmp_path: Path) -> None:
    task = toy_task(Optimization(), parts={"a": ("0",), "b": ("3",)})
    with pytest.raises(UsageError) as caught:
        _train(tmp_path, task, _steps(1, accumulate=2))
    assert caught.value.code == "usage.accumulate"


def test_the_best_weights_by_validation_are_exported_and_patience_ends(tmp_path: Path) -> None:
    """Validation says 3, 1, 2, 4 after the steps 1 to 4, and draws from the generators."""
    values = {1: 3.0, 2: 1.0, 3: 2.0, 4: 4.0}
    kept: dict[int, State] = {}

    def validate(state: TrainingState) -> float:
        torch.randn(3)
        kept[state.step] = {n: v.clone() for n, v in state.network.state_dict().items()}
        return values[state.step]

    def task() -> TrainingTask:
        return replace(toy_task(Optimization("adamw", 0.01), dropout=0.3), validate=validate)

    parameters = _steps(9, validate_every=1, patience=2, checkpoint_every=1)
    best = _train(tmp_path / "straight", task(), parameters)
    assert max(kept) == 4
    assert _equal(best, kept[2])
    assert read_curves(tmp_path / "straight" / "curve.csv")["validation"].tolist() == [3, 1, 2, 4]
    with pytest.raises(Cancelled):
        _train(tmp_path / "cut", task(), parameters, _stop_after(3))
    assert _equal(best, _train(tmp_path / "cut", task(), parameters))
    assert _equal(best, _train(tmp_path / "cut", task(), parameters)), "it is over, not forgotten"


def test_validation_changes_nothing_but_the_choice(tmp_path: Path) -> None:
    task = toy_task(Optimization("adamw", 0.01), dropout=0.3)
    _train(tmp_path / "without", task, _steps(4))

    def validate(state: TrainingState) -> float:
        torch.randn(3)
        return 1.0

    watched = replace(toy_task(Optimization("adamw", 0.01), dropout=0.3), validate=validate)
    _train(tmp_path / "with", watched, _steps(4, validate_every=3))
    ends = [load_checkpoint(tmp_path / n / "checkpoint.pt") for n in ("without", "with")]
    assert _equal(ends[0]["network"], ends[1]["network"])
