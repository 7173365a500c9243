"""A made-up abdomen of ellipsoids, and networks that read labels off its intensities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.imaging.intensity import foreground_statistics, standardize
from FlareMRCore.inference.device import DeviceChoice
from FlareMRCore.inference.model import COARSE, FINE, LoadedModel
from FlareMRCore.weights.registry import NetworkSpec, WeightsEntry

BODY = 100.0
EDGE = 200.0
# label value: intensity, center (RAS mm), radii (mm); nothing is symmetric, and organs are more
# than 8 mm apart.
ORGANS = {
    1: (460.0, (45.0, 20.0, 25.0), (30.0, 26.0, 26.0)),
    2: (420.0, (45.0, -38.0, -30.0), (18.0, 16.0, 20.0)),
    3: (380.0, (-45.0, -15.0, 25.0), (20.0, 24.0, 20.0)),
    11: (340.0, (-25.0, 38.0, -15.0), (24.0, 16.0, 20.0)),
    13: (300.0, (-45.0, -40.0, -35.0), (16.0, 15.0, 20.0)),
}
BODY_RADII = (98.0, 78.0, 200.0)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Scene:
    """The ellipsoids on one grid."""

    volume: Volume
    truth: NDArray[np.uint8]


def _inside(world: NDArray[np.float64], center: object, radii: object) -> NDArray[np.float64]:
    """Soft indicator: 1 inside, 0 outside, about 4 mm wide in between."""
    radii_mm = np.asarray(radii, dtype=np.float64)
    distance = np.linalg.norm((world - np.asarray(center)) / radii_mm, axis=-1)
    return 1 / (1 + np.exp((distance - 1) * radii_mm.min() / 1.0))


def draw_scene(geometry: Geometry) -> Scene:
    """The ellipsoids sampled at the voxel centers of any grid."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in geometry.shape], indexing="ij"), -1)
    world = geometry.index_to_world(index.astype(np.float64))
    array = BODY * _inside(world, (0, 0, 0), BODY_RADII)
    truth = np.zeros(geometry.shape, dtype=np.uint8)
    for value, (intensity, center, radii) in ORGANS.items():
        share = _inside(world, center, radii)
        array = array * (1 - share) + intensity * share
        truth[array > EDGE] = np.where(share > 0.01, value, truth)[array > EDGE]
    # Whole numbers, as scanners write them; air is exactly 0.
    return Scene(Volume(np.round(array).astype(np.float32), geometry), truth)


@pytest.fixture(scope="session")
def scene_on() -> Callable[[Geometry], Scene]:
    """Draws the made-up abdomen on a grid."""
    return draw_scene


@pytest.fixture(scope="session")
def grid() -> Geometry:
    """Anisotropic grid with axes S, A, R around the made-up abdomen."""
    shape, spacing = (36, 60, 68), (4.0, 3.0, 3.2)
    origin = tuple(-(n - 1) / 2 * s for n, s in zip(shape[::-1], spacing[::-1], strict=True))
    return Geometry(shape, spacing, (origin[0], origin[1], origin[2]))


@pytest.fixture(scope="session")
def scene(grid: Geometry) -> Scene:
    """The made-up abdomen on `grid`."""
    return draw_scene(grid)


class BandNetwork(nn.Module):
    """Organ where a voxel is brighter than the body; the brightest neighbor tells which.

    Without reach every voxel decides for itself, and organs get shells of darker ones.
    """

    centers: Tensor

    def __init__(self, centers: dict[int, float], edge: float, classes: int, reach: int) -> None:
        super().__init__()
        self.classes = classes
        self.edge = edge
        self.peak = nn.MaxPool3d(2 * reach + 1, 1, reach)
        self.values = tuple(centers)
        self.register_buffer("centers", torch.tensor([centers[v] for v in self.values]))
        self.same = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.same(x)
        peak = self.peak(x)[:, 0]
        above = 4 * (x[:, 0] - self.edge)
        logits = torch.full((x.shape[0], 14, *x.shape[2:]), -100.0, device=x.device)
        logits[:, 0] = -above
        for value, center in zip(self.values, self.centers, strict=True):
            logits[:, value] = above - 8 * (peak - center).square()
        if self.classes == 14:
            return logits
        return torch.stack([logits[:, 0], logits[:, 1:].amax(1)], 1)


def spec_of(**changes: object) -> NetworkSpec:
    """A network specification with small defaults."""
    base = NetworkSpec("bands", "bands.pt", (4.0, 4.0, 4.0), None, (4, 4, 4), organs=True)
    return replace(base, **changes)  # type: ignore[arg-type]


def model_of(networks: dict[str, tuple[nn.Module, NetworkSpec]]) -> LoadedModel:
    """A model of ready networks, by stage."""
    specs = {stage: spec for stage, (_, spec) in networks.items()}
    entry = WeightsEntry(
        "test", "1", "Test", "", "none", "", open_license=True, files=(),
        coarse=specs.get(COARSE), fine=specs.get(FINE),
    )  # fmt: skip
    ready = {stage: network.eval() for stage, (network, _) in networks.items()}
    return LoadedModel(entry, ready, DeviceChoice("cpu", "test"))


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., NetworkSpec]:
    """Makes a network specification."""
    return spec_of


@pytest.fixture(scope="session")
def make_model() -> Callable[[dict[str, tuple[nn.Module, NetworkSpec]]], LoadedModel]:
    """Makes a model of ready networks."""
    return model_of


@pytest.fixture(scope="session")
def bands(scene: Scene) -> Callable[..., BandNetwork]:
    """Makes a network that knows the organs' intensities: `(classes, reach=2)`."""
    array = scene.volume.array
    statistics = foreground_statistics(array)

    def center(intensity: float) -> float:
        return float(standardize(np.array([intensity], dtype=np.float32), statistics)[0])

    centers = {value: center(organ[0]) for value, organ in ORGANS.items()}
    return lambda classes, reach=2: BandNetwork(centers, center(EDGE), classes, reach).eval()


@pytest.fixture
def band_model(bands: Callable[..., BandNetwork]) -> LoadedModel:
    """Coarse network (body part or not, 8 mm) and fine network (organs, 4 mm)."""
    coarse = spec_of(spacing_mm=(8.0, 8.0, 8.0), organs=False)
    fine = spec_of(views=("flip-KJI", "flip-I", "zoom-0.9"), margin_mm=12.0)
    return model_of({COARSE: (bands(2), coarse), FINE: (bands(14), fine)})


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Dice coefficient; 1 if both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else 1.0


@pytest.fixture(scope="session")
def mean_dice() -> Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]:
    """Mean Dice over the organs of the made-up abdomen."""
    return lambda a, b: float(np.mean([dice(a == v, b == v) for v in ORGANS]))


@pytest.fixture(scope="session")
def tilt() -> Callable[[Geometry, float], Geometry]:
    """Turns a grid about an axis that is none of its own, so that it stays around the abdomen."""
    return _tilted


def _tilted(grid: Geometry, degrees: float) -> Geometry:
    """`grid` turned about an axis that is none of its own, still around the abdomen."""
    axis = np.array([0.48, 0.6, 0.64])
    cross = np.cross(np.eye(3), axis)
    angle = np.radians(degrees)
    turn = np.eye(3) - np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    affine = np.eye(4)
    affine[:3, :3] = turn @ grid.affine[:3, :3]
    center = (np.array(grid.shape) - 1) / 2
    affine[:3, 3] = -affine[:3, :3] @ center
    return Geometry.from_affine(affine, grid.shape)
