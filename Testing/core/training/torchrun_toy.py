"""What each process of test_distributed.py runs: `torchrun torchrun_toy.py FOLDER STEPS`."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[3]))
sys.path.insert(0, str(Path(__file__).parent))
from toy_task import toy_task

from FlareMRCore.progress import SilentReporter
from FlareMRCore.training.checkpoint import State, save_checkpoint
from FlareMRCore.training.distributed import process_group
from FlareMRCore.training.learning_parameters import Optimization, TrainerParameters
from FlareMRCore.training.trainer import train


def train_toy(folder: Path, steps: int) -> State:
    """Train and keep the final weights in `folder`."""
    torch.set_num_threads(1)
    with process_group(torch.device("cpu")) as processes:
        task = toy_task(Optimization("sgd", 0.1, clip_norm=1.0), processes=processes)
        parameters = TrainerParameters(steps, checkpoint_every=2)
        reporter = SilentReporter()
        state = train(task, parameters, folder, reporter=reporter, processes=processes)
        name = f"process{processes.rank}.pt"
        save_checkpoint(folder / name, {"network": state, "messages": reporter.messages})
    return state


if __name__ == "__main__":
    train_toy(Path(sys.argv[1]), int(sys.argv[2]))
