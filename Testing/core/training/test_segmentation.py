import sys
from pathlib import Path

import pytest
import torch

from FlareMRCore.errors import Cancelled, UsageError, WeightsError
from FlareMRCore.progress import SilentReporter
from FlareMRCore.training import segmentation, trainer
from FlareMRCore.training.checkpoint import load_checkpoint, save_checkpoint
from FlareMRCore.training.parameters import SamplingParameters, TrainingParameters
from FlareMRCore.training.segmentation import (
    learning_rate,
    train_segmentation,
)

sys.path.insert(0, str(Path(__file__).parent))
from cohort import tiny_case

from FlareMRCore.networks.subvoxel_unet import SubvoxelUNet

CPU = torch.device("cpu")


class TwoAnswers(torch.nn.Module):
    """Logits at full and at half resolution, as networks with deep supervision give them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fine, self.coarse = torch.nn.Conv3d(1, 14, 1), torch.nn.Conv3d(1, 14, 1)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [self.fine(x), self.coarse(torch.nn.functional.avg_pool3d(x, 2))]


@pytest.fixture(autouse=True)
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of a few thousand parameters under any name."""
    monkeypatch.setattr(
        segmentation,
        "build_network",
        lambda name: SubvoxelUNet(classes=14, subvoxels=1, widths=(8, 16)),
    )


def _parameters(steps: int, **changes: object) -> TrainingParameters:
    sampling = SamplingParameters(
        shapes=((16, 16, 24),), shape_shares=(1.0,), contrast_shares=(1.0, 0.0, 0.0)
    )
    values: dict[str, object] = {"checkpoint_every": 3, "learning_rate": 5e-3, **changes}
    return TrainingParameters("small", steps, sampling=sampling, **values)  # type: ignore[arg-type]


def _train(folder: Path, parameters: TrainingParameters, reporter: SilentReporter) -> Path:
    cases = (tiny_case(0), tiny_case(1))
    return train_segmentation(cases, parameters, folder, reporter=reporter, device=CPU)


def test_the_loss_falls(tmp_path: Path) -> None:
    _train(tmp_path, _parameters(60), SilentReporter())
    rows = (tmp_path / "curve.csv").read_text(encoding="utf-8").splitlines()[1:]
    losses = [float(row.split(",")[1]) for row in rows]
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_of_a_network_with_several_answers_the_finest_is_taught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmentation, "build_network", lambda name: TwoAnswers())
    path = _train(tmp_path, _parameters(2, average_decay=0.0), SilentReporter())
    trained, start = load_checkpoint(path)["state_dict"], TwoAnswers().half().state_dict()
    assert not torch.equal(trained["fine.weight"], start["fine.weight"])
    assert torch.equal(trained["coarse.weight"], start["coarse.weight"])


def test_an_interrupted_training_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path,
) -> None:
    parameters = _parameters(8)
    straight = _train(tmp_path / "straight", parameters, SilentReporter())
    calls = iter(range(100))
    stopping = SilentReporter(is_cancelled=lambda: next(calls) >= 4)
    with pytest.raises(Cancelled):
        _train(tmp_path / "resumed", parameters, stopping)
    assert load_checkpoint(tmp_path / "resumed" / "checkpoint.pt")["step"] == 4
    resumed = _train(tmp_path / "resumed", parameters, SilentReporter())
    expected, found = (load_checkpoint(path)["state_dict"] for path in (straight, resumed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_samples_drawn_ahead_teach_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    for count in (0, 3):
        folder = tmp_path / str(count)
        monkeypatch.setattr(trainer, "usual_workers", lambda *_, count=count: count)
        _train(folder, _parameters(6), SilentReporter())
        lines = (folder / "curve.csv").read_text(encoding="utf-8").splitlines()[1:]
        rows.append([line.split(",") for line in lines])
    assert [row[3] for row in rows[1]] == [row[3] for row in rows[0]]  # cases
    losses = [[float(row[1]) for row in run] for run in rows]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_a_checkpoint_of_other_parameters_is_refused(tmp_path: Path) -> None:
    _train(tmp_path, _parameters(2), SilentReporter())
    with pytest.raises(UsageError, match="other parameters"):
        _train(tmp_path, _parameters(2, seed=1), SilentReporter())


def test_a_loss_that_is_not_finite_keeps_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmentation, "marginal_dice_ce", _not_finite)
    with pytest.raises(WeightsError, match="kept in"):
        _train(tmp_path, _parameters(2), SilentReporter())
    assert not (tmp_path / "checkpoint.pt").exists()
    assert load_checkpoint(tmp_path / "not-finite.pt")["image"].ndim == 4


def _not_finite(logits: torch.Tensor, labels: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    return logits.sum() * float("nan")


def test_a_checkpoint_of_the_first_format_is_continued(tmp_path: Path) -> None:
    parameters = _parameters(6)
    straight = _train(tmp_path / "straight", parameters, SilentReporter())
    calls = iter(range(100))
    stopping = SilentReporter(is_cancelled=lambda: next(calls) >= 3)
    with pytest.raises(Cancelled):
        _train(tmp_path / "old", parameters, stopping)
    path = tmp_path / "old" / "checkpoint.pt"
    content = load_checkpoint(path)
    kept = {name: content[name] for name in ("parameters", "network", "average", "step")}
    save_checkpoint(path, {**kept, "optimizer": content["optimizers"]["network"]})
    resumed = _train(tmp_path / "old", parameters, SilentReporter())
    expected, found = (load_checkpoint(path)["state_dict"] for path in (straight, resumed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    parameters = _parameters(100, warmup_steps=10)
    rates = [learning_rate(parameters, step) for step in range(100)]
    assert rates[0] == pytest.approx(5e-4)
    assert max(rates) == pytest.approx(5e-3, rel=0.12)
    assert rates[-1] == pytest.approx(5e-5)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"step": 1})
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        save_checkpoint(path, {"step": lambda: 2})
    assert load_checkpoint(path) == {"step": 1}


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match=r"checkpoint\.pt"):
        load_checkpoint(path)
