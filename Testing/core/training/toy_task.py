"""A training without images: a perceptron with dropout learns the sign of a sum of numbers."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from FlareMRCore.training.batch_composition import draw_items
from FlareMRCore.training.dice_ce import dice_ce
from FlareMRCore.training.distributed import Processes, sum_over_processes
from FlareMRCore.training.learning_parameters import IGNORE, BatchComposition, DiceCE, Optimization
from FlareMRCore.training.trainer import (
    Batch,
    Objective,
    ParameterGroup,
    TrainingState,
    TrainingTask,
)

ALONE = Processes(0, 1, torch.device("cpu"))
COMPOSITION = BatchComposition((("labeled", 4), ("pseudo", 2)))
SIZES = {"labeled": 10, "pseudo": 3}


def toy_task(
    optimization: Optimization,
    *,
    processes: Processes = ALONE,
    dropout: float = 0.0,
    parts: Mapping[str, tuple[str, ...]] | None = None,
) -> TrainingTask:
    """Batches of 6 items with 5 "voxels" of 3 classes, some of them ignored."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(2, 8, 1), nn.Tanh(), nn.Dropout(dropout), nn.Conv1d(8, 3, 1))
    groups = {
        name: ParameterGroup(optimization, prefixes)
        for name, prefixes in (parts or {"network": ("",)}).items()
    }

    def draw(step: int) -> Batch:
        items = draw_items(COMPOSITION, SIZES, processes, seed=1, step=step)
        drawn = [_item(np.random.default_rng(item.seed)) for item in items]
        image, labels = (torch.stack(part) for part in zip(*drawn, strict=True))
        names = tuple(f"{item.pool}{item.case}" for item in items)
        return Batch({"image": image, "labels": labels}, names)

    def objectives(batch: Batch, state: TrainingState) -> Iterator[Objective]:
        mean = sum_over_processes(batch.tensors["image"].mean((0, 2))) / processes.count
        state.memory["seen"] = state.memory.get("seen", torch.zeros(2)) + mean
        offset = state.memory["seen"].reshape(1, 2, 1) * 1e-3
        for group in groups:
            logits = state.network(batch.tensors["image"] + offset)
            yield Objective(group, dice_ce(logits, batch.tensors["labels"], DiceCE()))

    return TrainingTask(network, groups, draw, objectives, repr((optimization, dropout)))


def _item(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    image = rng.normal(0, 1, (2, 5)).astype(np.float32)
    labels = np.digitize(image.sum(0), (-0.5, 0.5))
    labels[rng.random(5) < 0.3] = IGNORE
    return torch.from_numpy(image), torch.from_numpy(labels.astype(np.int64))
