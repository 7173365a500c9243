import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from FlareMRCore.errors import UsageError
from FlareMRCore.training.checkpoint import load_checkpoint
from FlareMRCore.training.curves import read_curves
from FlareMRCore.training.distributed import (
    Processes,
    any_process,
    gather_values,
    mean_over_processes,
    process_group,
    sum_over_processes,
)

sys.path.insert(0, str(Path(__file__).parent))
from torchrun_toy import train_toy

CPU = torch.device("cpu")


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    value = torch.ones(2)
    with process_group(CPU) as processes:
        assert processes == Processes(0, 1, CPU)
        assert processes.is_writer
        assert sum_over_processes(value) is value
        assert mean_over_processes(0.25, CPU) == 0.25
        assert not any_process(False, CPU)
        assert gather_values("a") == ["a"]


def test_a_batch_is_shared_equally() -> None:
    assert list(Processes(1, 3, CPU).share(6)) == [1, 4]
    with pytest.raises(UsageError, match="cannot be shared"):
        Processes(0, 2, CPU).share(3)


def test_two_processes_learn_what_one_learns_from_the_same_batches(tmp_path: Path) -> None:
    """Losses of the whole batch, although ignored voxels are spread unevenly; under torchrun."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    expected = train_toy(alone, 6)
    script = Path(__file__).with_name("torchrun_toy.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(script), str(together), "6"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for rank in (0, 1):
        found = load_checkpoint(together / f"process{rank}.pt")["network"]
        for name, value in expected.items():
            assert torch.allclose(found[name], value, atol=1e-6), name
    losses = [read_curves(folder / "curve.csv")["loss"] for folder in (alone, together)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert len(load_checkpoint(together / "checkpoint.pt")["processes"]) == 2
    train_toy(together, 6)
    assert "2 processes" in load_checkpoint(together / "process0.pt")["messages"][0]
