from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from FlareMRCore.errors import Cancelled, UsageError
from FlareMRCore.networks.blocks import BlockStyle
from FlareMRCore.networks.unet import Branch, UNet, UNetPlan
from FlareMRCore.progress import SilentReporter
from FlareMRCore.training import pool_training, trainer
from FlareMRCore.training.checkpoint import load_checkpoint
from FlareMRCore.training.curves import read_curves
from FlareMRCore.training.learning_parameters import (
    Averaging,
    BatchComposition,
    DiceCE,
    Optimization,
    TrainerParameters,
)
from FlareMRCore.training.patches import TrainingCase, training_case
from FlareMRCore.training.pool_losses import pool_objectives
from FlareMRCore.training.pool_parameters import PoolTrainingParameters
from FlareMRCore.training.pool_training import train_pools
from FlareMRCore.training.trainer import Batch, TrainingState

CPU = torch.device("cpu")
BRANCHES = (Branch("organs", 14), Branch("tumor", 2))


def _network(branches: tuple[Branch, ...] = BRANCHES[:1], dropout: float = 0.0) -> UNet:
    return UNet(
        UNetPlan(
            1,
            (4, 6, 8),
            ((3, 3, 3),) * 3,
            ((1, 2, 2), (2, 2, 2)),
            branches,
            BlockStyle(3),
            dropout=dropout,
            heads=(0, 1),
        )
    )


@pytest.fixture(autouse=True)
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_training, "build_network", lambda name: _network(dropout=0.1))


def _case(seed: int, *, labeled: bool = True) -> TrainingCase:
    rng = np.random.default_rng(seed)
    labels = np.zeros((8, 16, 16), dtype=np.uint8)
    j, i = rng.integers(0, 8, 2)
    labels[2:7, j : j + 8, i : i + 8] = 1
    image = (labels * 2.0 + rng.normal(0, 0.3, labels.shape)).astype(np.float32)
    return training_case(f"case{seed}", image, labels if labeled else None)


POOLS = {
    "labeled": (_case(0), _case(1), _case(2)),
    "pseudo": (_case(3),),
    "unlabeled": (_case(4, labeled=False), _case(5, labeled=False)),
}


def _parameters(
    steps: int, method: str = "supervised", **changes: object
) -> PoolTrainingParameters:
    trainer = TrainerParameters(steps, checkpoint_every=100, averaging=Averaging("teacher", 0.99))
    parameters = PoolTrainingParameters(
        "he2024",
        (8, 16, 16),
        trainer,
        method,  # type: ignore[arg-type]
        Optimization("adamw", 0.01, clip_norm=12.0),
        augmentation="none",
    )
    return replace(parameters, **changes)  # type: ignore[arg-type]


MIX = BatchComposition((("labeled", 1), ("pseudo", 1), ("unlabeled", 1)))


def test_the_loss_of_a_hybrid_batch_falls_and_pools_are_weighted(tmp_path: Path) -> None:
    parameters = _parameters(
        25, composition=BatchComposition(MIX.shares[:2]), pool_weights=(("pseudo", 0.5),)
    )
    train_pools(POOLS, parameters, tmp_path, reporter=SilentReporter(), device=CPU)
    curves = read_curves(tmp_path / "curve.csv")
    assert curves["loss"][-5:].mean() < 0.8 * curves["loss"][:5].mean()
    assert curves["loss"] == pytest.approx(curves["labeled"] + 0.5 * curves["pseudo"], rel=1e-3)
    assert load_checkpoint(tmp_path / "weights.pt")["builder"] == "he2024"


@pytest.mark.parametrize("method", ["mean-teacher", "hard-union"])
def test_a_stopped_training_ends_like_one_that_went_through(tmp_path: Path, method: str) -> None:
    parameters = _parameters(4, method, composition=MIX, augmentation="he2024")
    ends = []
    for name, stop in (("straight", 100), ("cut", 2)):
        calls = iter(range(100))
        reporter = SilentReporter(is_cancelled=lambda n=stop, c=calls: next(c) >= n)  # type: ignore[misc]
        if name == "cut":
            with pytest.raises(Cancelled):
                train_pools(POOLS, parameters, tmp_path / name, reporter=reporter, device=CPU)
        path = train_pools(
            POOLS, parameters, tmp_path / name, reporter=SilentReporter(), device=CPU
        )
        ends.append(load_checkpoint(path)["state_dict"])
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_batches_drawn_ahead_teach_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = _parameters(4, "mean-teacher", composition=MIX, augmentation="he2024")
    losses = []
    for count in (0, 2):
        folder = tmp_path / str(count)
        monkeypatch.setattr(trainer, "usual_workers", lambda *_, count=count: count)
        train_pools(POOLS, parameters, folder, reporter=SilentReporter(), device=CPU)
        losses.append(read_curves(folder / "curve.csv")["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def _gradients(parameters: PoolTrainingParameters, *, step: int = 3) -> torch.Tensor:
    torch.manual_seed(0)
    network = _network().train()
    average = {n: v.detach() * 1.1 for n, v in network.state_dict().items()}
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    state = TrainingState(network, {}, scaler, average, {}, step)
    image, labels = torch.randn(2, 1, 4, 8, 8), torch.randint(0, 14, (2, 1, 4, 8, 8))
    known = torch.ones(2, 14, dtype=torch.bool)
    batch = Batch({"image": image, "labels": labels, "known": known}, ("a", "b"))
    counts = (("labeled", 1), ("unlabeled", 1))
    (objective,) = pool_objectives(batch, state, parameters, counts)
    objective.loss.backward()
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def test_the_switch_of_the_consistency_changes_the_gradient() -> None:
    parameters = _parameters(4, "mean-teacher")
    on, off = (_gradients(replace(parameters, consistency=flag)) for flag in (True, False))
    supervised = _gradients(_parameters(4))
    assert not torch.allclose(on, off, rtol=1e-3)
    assert torch.equal(off, supervised)
    early = _gradients(replace(parameters, trainer=replace(parameters.trainer, steps=1000)))
    assert (early - off).norm() < (on - off).norm()


def test_branches_learn_apart_and_frozen_ones_stay_bit_identical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = _network(BRANCHES)
    monkeypatch.setattr(pool_training, "build_network", lambda name: _network(BRANCHES))
    labels = np.stack([POOLS["labeled"][0].labels[0]] * 2)  # type: ignore[index]
    case = training_case("dual", POOLS["labeled"][0].image, labels)
    known = np.ones(16, dtype=bool)
    parameters = _parameters(
        2,
        branch_classes=(14, 2),
        branch_weights=(0.0, 1.0),
        frozen=("encoder.", "branches.organs."),
        loss=DiceCE(squared=True, background=True),
    )
    state = start.state_dict()
    path = train_pools(
        {"labeled": (replace(case, known=known),)},
        parameters,
        tmp_path,
        reporter=SilentReporter(),
        device=CPU,
        initial=state,
    )
    after = load_checkpoint(path.with_name("checkpoint.pt"))["network"]
    moved = {name for name in after if not torch.equal(after[name], state[name])}
    assert moved
    assert all(name.startswith("branches.tumor.") for name in moved)


def test_poisoned_labels_of_the_unlabeled_pool_change_nothing(tmp_path: Path) -> None:
    poisoned = tuple(
        training_case(c.case_id, c.image, np.full(c.image.shape, 13, np.uint8))
        for c in POOLS["unlabeled"]
    )
    parameters = _parameters(2, "mean-teacher", composition=MIX)
    states = []
    for name, pool in (("clean", POOLS["unlabeled"]), ("poisoned", poisoned)):
        path = train_pools(
            {**POOLS, "unlabeled": pool}, parameters, tmp_path / name, reporter=SilentReporter(),
            device=CPU,
        )  # fmt: skip
        states.append(load_checkpoint(path)["state_dict"])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_teacher_needs_an_average() -> None:
    with pytest.raises(UsageError, match="averaging"):
        PoolTrainingParameters("he2024", (8, 8, 8), TrainerParameters(1), "mean-teacher")


def test_the_best_weights_on_held_out_cases_are_exported(tmp_path: Path) -> None:
    """With a learning rate that spoils what was learned, the last weights are not the best."""
    trainer = TrainerParameters(12, checkpoint_every=100, validate_every=2)
    parameters = _parameters(12, trainer=trainer, optimization=Optimization("sgd", 0.3))
    pools = {"labeled": POOLS["labeled"], "validation": POOLS["pseudo"]}
    train_pools(pools, parameters, tmp_path, reporter=SilentReporter(), device=CPU)
    content = load_checkpoint(tmp_path / "checkpoint.pt")
    values = read_curves(tmp_path / "curve.csv")["validation"]
    values = values[np.isfinite(values)]
    assert len(values) == 6
    assert content["selection"]["value"] == pytest.approx(values.min(), rel=1e-4)
    assert 0 < values.min() < 1
    exported = load_checkpoint(tmp_path / "weights.pt")["state_dict"]
    best = content["selection"]["state"]
    assert all(torch.equal(exported[name], best[name].half()) for name in best)
