import random
from pathlib import Path

import numpy as np
import torch

from FlareMRCore.training.checkpoint import load_checkpoint, save_checkpoint
from FlareMRCore.training.random_states import random_states, restore_random_states


def _draws() -> tuple[float, float, list[float], list[float]]:
    # An odd number of normal values leaves one in reserve in numpy's and Python's generators.
    return (
        random.random(),
        random.gauss(0, 1),
        np.random.normal(size=3).tolist(),  # noqa: NPY002
        torch.randn(5).tolist(),
    )


def test_all_generators_go_on_after_a_checkpoint(tmp_path: Path) -> None:
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(3)
    _draws()
    save_checkpoint(tmp_path / "states.pt", random_states())
    expected = [_draws(), _draws()]
    torch.manual_seed(99)
    restore_random_states(load_checkpoint(tmp_path / "states.pt"))
    assert [_draws(), _draws()] == expected
