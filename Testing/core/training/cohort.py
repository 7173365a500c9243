"""A tiny training cohort: two organs of known gray values in a box, no files needed."""

import numpy as np

from FlareMRCore.training.pack import PackedCase, allowed_classes
from FlareMRCore.training.tissues import tissue_map

SHAPE = (24, 24, 24)


def tiny_case(seed: int = 0, *, kind: str = "ct", unannotated: tuple[int, ...] = ()) -> PackedCase:
    """A body of muscle with a liver on the right and a spleen on the left."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, dtype=np.uint8)
    k = int(rng.integers(4, 8))
    labels[k : k + 10, 6:18, 13:21] = 1
    labels[k : k + 8, 6:14, 3:9] = 3
    hounsfield = np.full(SHAPE, -125.0, dtype=np.float32)
    hounsfield[2:22, 2:22, 1:23] = 50
    hounsfield[labels == 1], hounsfield[labels == 3] = 110, 120
    image = hounsfield + rng.normal(0, 5, SHAPE).astype(np.float32)
    return PackedCase(
        f"tiny{seed}",
        kind,
        image.astype(np.float16),
        tissue_map(labels, hounsfield),
        labels,
        allowed_classes(unannotated, {}),
        6.0,
        1.0,
    )
