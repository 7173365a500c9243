"""Label maps of phantoms in which tumors have a value of their own."""

from __future__ import annotations

import numpy as np

from FlareMRCore.data.dataset import EXTRA_STRUCTURES
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import LabelTable, structure_table
from FlareMRCore.data.phantom_anatomy import make_anatomy
from FlareMRCore.data.volume import LabelMap


def tumor_labels(seed: int, geometry: Geometry) -> LabelMap:
    """Organs of person `seed`, with 14 where there is a tumor in them."""
    anatomy = make_anatomy(seed, geometry, tumors=True)
    organs = anatomy.labels
    value = EXTRA_STRUCTURES["tumor"]
    table = LabelTable((*organs.labels, structure_table().by_id("tumor")))
    array = np.where(anatomy.tumors, np.uint8(value), organs.array)
    return LabelMap(array, geometry, table)
