"""Choosing, for an image without label, a labeled one of a patient of the same size."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import UsageError
from FlareMRCore.imaging.body_mask import body_mask


@dataclass(frozen=True, slots=True)
class Body:
    """An examination as a candidate: its patient and the volume of the body in view."""

    patient_id: str
    volume_mm3: float


def body_volume_mm3(volume: Volume) -> float:
    """Volume of the body in the field of view, holes included.

    Raises:
        InputError: the image is constant.
    """
    return float(np.count_nonzero(body_mask(volume)) * volume.geometry.voxel_volume_mm3)


def closest_body(fixed: Body, candidates: Mapping[str, Body]) -> str:
    """Case id of the candidate with the most similar volume, of the same patient if there is one.

    Of equal ones the first by id.

    Raises:
        UsageError: no candidate.

    Source: Zhu et al., FLARE24 task 3 (smallest absolute difference of volume); that the body is
        what is measured, and the same patient first, is our reading.
    """
    if not candidates:
        raise UsageError("There is no labeled image to match with.", code="usage.candidates")
    same = {n: b for n, b in candidates.items() if b.patient_id == fixed.patient_id}
    pool = same or candidates
    return min(sorted(pool), key=lambda name: abs(pool[name].volume_mm3 - fixed.volume_mm3))
