"""Two blocks in a body, a network that tells them by brightness, and an engine around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from FlareMRCore.data.volume import Volume  # noqa: E402
from FlareMRCore.imaging.intensity import foreground_statistics, standardize  # noqa: E402
from FlareMRCore.inference.device import DeviceChoice  # noqa: E402
from FlareMRCore.inference.model import FINE, LoadedModel  # noqa: E402
from FlareMRCore.inference.segmentation import SegmentOptions, SegmentResult, segment  # noqa: E402
from FlareMRCore.pipeline.engine import Engine  # noqa: E402
from FlareMRCore.progress import Reporter  # noqa: E402
from FlareMRCore.weights.registry import NetworkSpec, WeightsEntry  # noqa: E402

BODY, SPLEEN, LIVER = 100.0, 250.0, 400.0
LIVER_VALUE, SPLEEN_VALUE = 1, 3
SPACING_MM = (3.0, 4.0, 6.0)
"""Along R, A and S: all different, as in a scan of thick slices."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def block_scene() -> NDArray[np.float32]:
    """Image (R, A, S): air, body, a bright block on the right, a darker one on the left."""
    array = np.zeros((48, 36, 20), np.float32)
    array[4:44, 4:32, 1:19] = BODY
    array[28:40, 10:26, 5:16] = LIVER
    array[8:18, 8:20, 8:15] = SPLEEN
    array += np.random.default_rng(0).uniform(0, 4, array.shape).astype(np.float32).round()
    return array


def block_affine() -> NDArray[np.float64]:
    """Voxels (R, A, S) to RAS mm, with the middle of the body at 0."""
    affine = np.diag([*SPACING_MM, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * s for n, s in zip((48, 36, 20), SPACING_MM, strict=True)]
    return affine


class Levels(nn.Module):
    """The organ whose brightness is nearest; looks at single voxels."""

    levels: Tensor

    def __init__(self, levels: dict[int, float]) -> None:
        super().__init__()
        self.values = tuple(levels)
        self.register_buffer("levels", torch.tensor(list(levels.values())))
        self.same = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.same(x)
        logits = torch.full((x.shape[0], 14, *x.shape[2:]), -100.0)
        for value, level in zip(self.values, self.levels, strict=True):
            score = -8 * (x[:, 0] - level).square()
            logits[:, value] = torch.maximum(logits[:, value], score)
        logits[:, 0] = torch.maximum(logits[:, 0], -8 * (x[:, 0] - x.min()).square())
        return logits


def model_of(network: nn.Module, **changes: object) -> LoadedModel:
    """A model of one fine network at 4 mm."""
    settings: dict[str, object] = {"organs": True, **changes}
    spec = NetworkSpec("levels", "levels.pt", (4.0, 4.0, 4.0), None, (4, 4, 4), **settings)  # type: ignore[arg-type]
    entry = WeightsEntry(
        "test", "1", "Test", "", "none", "", open_license=True, files=(), coarse=None, fine=spec
    )
    return LoadedModel(entry, {FINE: network.eval()}, DeviceChoice("cpu", "test"))


@pytest.fixture(scope="session")
def blocks() -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Image in (R, A, S) order and its affine."""
    return block_scene(), block_affine()


@pytest.fixture(scope="session")
def levels_network(blocks: tuple[NDArray[np.float32], NDArray[np.float64]]) -> Levels:
    """Network that knows the brightness of body, liver and spleen after standardization."""
    statistics = foreground_statistics(blocks[0])

    def level(intensity: float) -> float:
        return float(standardize(np.array([intensity], np.float32), statistics)[0])

    return Levels({0: level(BODY), SPLEEN_VALUE: level(SPLEEN), LIVER_VALUE: level(LIVER)})


@pytest.fixture
def block_engine(levels_network: Levels) -> Engine:
    """What `segment_file` takes instead of weights."""
    model = model_of(levels_network)

    def run(volume: Volume, reporter: Reporter) -> SegmentResult:
        return segment(volume, model, SegmentOptions(threads=1), reporter)

    return Engine("test", {}, run)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., LoadedModel]:
    """Makes a model of one network."""
    return model_of


@pytest.fixture(scope="session")
def save_nifti() -> Callable[..., Path]:
    """Writes an array (R, A, S) with its axes in the order and direction of `codes`."""

    def save(path: Path, array: NDArray[np.generic], affine: NDArray[np.float64],
             codes: str = "RAS") -> Path:  # fmt: skip
        image = nib.Nifti1Image(array, affine)
        turn = nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple(codes))
        )
        nib.save(image.as_reoriented(turn), path)
        return path

    return save
