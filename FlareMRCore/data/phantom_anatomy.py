"""A procedural abdomen: which tissue each voxel of any grid is, for a person given by a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.phantom_body import make_scene, paint_body, sample_build, sample_frame
from FlareMRCore.data.phantom_organs import paint_organs
from FlareMRCore.data.phantom_shapes import Blob, Canvas
from FlareMRCore.data.phantom_tissues import organ_lookup
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.errors import UsageError

TUMOR_SITES = (
    ("liver", (72.0, -5.0, 60.0), (36.0, 40.0, 40.0)),
    ("right_kidney", (62.0, -34.0, -6.0), (16.0, 14.0, 34.0)),
    ("left_kidney", (-68.0, -34.0, 4.0), (16.0, 14.0, 34.0)),
    ("pancreas", (27.0, 25.0, -6.0), (5.0, 4.0, 8.0)),
    ("spleen", (-94.0, -34.0, 62.0), (10.0, 20.0, 24.0)),
)
"""Organ, usual center and half range in mm of the places where a tumor may sit."""


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """Tissues of a phantom on a grid.

    Attributes:
        tissues: tissue codes (K, J, I), uint8; see `tissue_table`. 1 to 13 are the main tissues
            of FLARE's organs, 40 to 45 further tissues that belong to organs.
        tumors: where tumors are, bool (K, J, I); the tissue below stays that of the organ.
        geometry: the grid.
        seed: the person.
    """

    tissues: NDArray[np.uint8]
    tumors: NDArray[np.bool_]
    geometry: Geometry
    seed: int

    @property
    def labels(self) -> LabelMap:
        """The 13 organs as a label map; tumors belong to their organ."""
        return LabelMap(organ_lookup()[self.tissues], self.geometry, organ_table())


def make_anatomy(seed: int, geometry: Geometry, *, tumors: bool = False) -> Anatomy:
    """The abdomen of person `seed` on `geometry`.

    The shapes are smooth functions of RAS mm and are evaluated at the voxel centers, so that any
    two grids show the same person: other spacing, orientation, obliquity or field of view. The
    RAS origin lies in the midplane between the kidneys, about 10 mm in front of the spine; what
    lies beyond about 80 mm below or 160 mm above it is a plain continuation.

    Raises:
        UsageError: negative seed.
    """
    if seed < 0:
        raise UsageError(f"A seed must not be negative; found {seed}.", code="usage.seed")
    canvas = Canvas(geometry, sample_frame(seed))
    scene = make_scene(canvas, sample_build(seed))
    paint_body(scene)
    paint_organs(scene)
    found = _tumors(canvas, seed) if tumors else np.zeros(geometry.shape, dtype=np.bool_)
    return Anatomy(canvas.tissues, found, geometry, seed)


def _tumors(canvas: Canvas, seed: int) -> NDArray[np.bool_]:
    """Up to five spheres, at least one of them in the liver."""
    rng = np.random.default_rng([seed, 3])
    result = np.zeros(canvas.geometry.shape, dtype=np.bool_)
    labels = organ_lookup()[canvas.tissues]
    extra = rng.choice(len(TUMOR_SITES), size=int(rng.integers(0, 5)))
    for site in (0, *(int(n) for n in extra)):
        organ, center, reach = TUMOR_SITES[site]
        x, y, z = np.asarray(center) + rng.uniform(-1, 1, 3) * reach
        radius = rng.uniform(5, 11 if organ == "pancreas" else 18)
        region, field = canvas.blob(Blob((x, y, z), (radius, radius, radius)))
        result[region] |= (field < 0) & (labels[region] == organ_table().by_id(organ).value)
    return result
