"""What tissues look like to CT and MR: the constants behind the synthetic contrasts.

Tissue ids 0 to 33 are the label values of the training packs (0 background, 1 to 13 organs,
14 to 33 surroundings); 40 to 45 are clusters of unlabeled CT voxels by Hounsfield units.

Source of relaxation times: de Bazelaire et al., Radiology 2004;230:652 (abdomen, 1.5 T) and
Stanisz et al., Magn Reson Med 2005;54:507; fluids, air and contents of the gut are set by hand to
their order of magnitude. Diffusion coefficients: order of magnitude of abdominal DWI reviews.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TISSUE_COUNT = 48
AIR, FAT, WATERY, MUSCLE, ENHANCED, BONE = 40, 41, 42, 43, 44, 45
CLUSTER_EDGES_HU = (-110.0, -25.0, 25.0, 85.0, 160.0)
"""Upper edges of the clusters air, fat, watery, muscle and enhanced; above is bone."""
CLUSTER_CENTERS_HU = (-125.0, -95.0, 5.0, 55.0, 120.0, 250.0)
"""Hounsfield units at which a voxel is purely air, fat, watery, muscle, enhanced, bone."""


class Tissue(NamedTuple):
    """MR and CT properties: T1 and T2 in ms, proton density and fat fraction 0 to 1, ADC, HU."""

    t1_ms: float
    t2_ms: float
    density: float
    fat: float
    adc_um2_ms: float
    hu: float
    uptake: float
    """Relative change of the relaxation rate R1 by contrast agent."""


_SOFT = Tissue(900, 45, 0.75, 0.1, 1.4, 40, 0.3)
_BLOOD = Tissue(1440, 250, 0.8, 0.0, 1.8, 140, 1.0)
_FAT = Tissue(290, 90, 0.9, 1.0, 0.3, -100, 0.02)
_MUSCLE = Tissue(900, 35, 0.75, 0.05, 1.4, 55, 0.25)
_BONE = Tissue(549, 49, 0.45, 0.5, 0.5, 230, 0.15)
_AIR = Tissue(1000, 20, 0.02, 0.0, 1.0, -1000, 0.0)
_KIDNEY = Tissue(1140, 82, 0.85, 0.0, 1.9, 160, 0.9)
_ADRENAL = Tissue(850, 60, 0.75, 0.1, 1.3, 60, 0.6)
_GUT = Tissue(1200, 80, 0.7, 0.05, 1.8, 40, 0.5)

TISSUES: dict[int, Tissue] = {
    0: _AIR,
    1: Tissue(586, 46, 0.8, 0.05, 1.1, 100, 0.45),
    2: _KIDNEY,
    3: Tissue(1057, 79, 0.85, 0.0, 0.85, 115, 0.7),
    4: Tissue(584, 46, 0.8, 0.15, 1.5, 85, 0.6),
    5: _BLOOD,
    6: _BLOOD,
    7: _ADRENAL,
    8: _ADRENAL,
    9: Tissue(2300, 500, 0.95, 0.0, 2.8, 10, 0.0),
    10: _GUT,
    11: Tissue(1800, 200, 0.85, 0.1, 2.2, 30, 0.2),
    12: _GUT,
    13: _KIDNEY,
    14: _BLOOD,
    15: Tissue(1200, 30, 0.12, 0.0, 1.5, -800, 0.3),
    16: Tissue(1100, 60, 0.8, 0.0, 1.5, 110, 0.8),
    17: Tissue(1300, 80, 0.6, 0.1, 1.8, 10, 0.3),
    18: _GUT,
    19: Tissue(2500, 700, 0.95, 0.0, 2.9, 5, 0.0),
    20: _BONE,
    21: _BONE,
    22: _MUSCLE,
    23: Tissue(2200, 300, 0.85, 0.0, 1.8, 25, 0.1),
    24: _FAT,
    25: Tissue(800, 40, 0.7, 0.2, 1.2, 20, 0.2),
    26: _GUT,
    27: _SOFT,
    28: _BLOOD,
    29: _BLOOD,
    30: _SOFT,
    31: _ADRENAL,
    32: _BLOOD,
    33: Tissue(1500, 60, 0.1, 0.0, 1.5, -600, 0.0),
    AIR: _AIR,
    FAT: _FAT,
    WATERY: Tissue(1500, 110, 0.75, 0.15, 2.0, 5, 0.3),
    MUSCLE: _MUSCLE,
    ENHANCED: Tissue(1200, 120, 0.75, 0.05, 1.6, 110, 0.7),
    BONE: _BONE,
}

TIED = ((2, 13), (7, 8, 31), (5, 6, 14, 28, 29, 32), (22, MUSCLE), (24, FAT), (20, 21, BONE),
        (12, 18, 26), (0, AIR))  # fmt: skip
"""Groups of one kind of tissue: they share their random contrast (always or mostly)."""


def tissue_table() -> NDArray[np.float32]:
    """Properties by tissue id, shape (48, 7), columns as in `Tissue`; unused ids are air."""
    table = np.tile(np.array(_AIR, dtype=np.float32), (TISSUE_COUNT, 1))
    for tissue_id, tissue in TISSUES.items():
        table[tissue_id] = tissue
    return table


def tissue_map(
    labels: NDArray[np.uint8], hounsfield: NDArray[np.float32] | None
) -> NDArray[np.uint8]:
    """Tissue ids (K, J, I): the label where there is one, else a cluster of Hounsfield units.

    Without a CT (`hounsfield` None) unlabeled voxels between labeled ones become fat, those
    outside stay air.
    """
    if hounsfield is None:
        return np.where((labels == 0) & _between(labels > 0), np.uint8(FAT), labels)
    clusters = (AIR + np.digitize(hounsfield, CLUSTER_EDGES_HU)).astype(np.uint8)
    return np.where(labels > 0, labels, clusters)


def _between(labeled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels enclosed by labeled ones in each axial slice, gaps of about ten voxels closed."""
    disk = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), 5)
    padded = np.pad(labeled, ((0, 0), (6, 6), (6, 6)))
    closed = ndimage.binary_closing(padded, disk[None])
    filled = ndimage.binary_fill_holes(closed, np.ones((1, 3, 3), dtype=bool))
    return np.asarray(filled[:, 6:-6, 6:-6])
