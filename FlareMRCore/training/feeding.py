"""How an exported network is used: values only, for recipes."""

from __future__ import annotations

from dataclasses import dataclass

from FlareMRCore.data.geometry import Shape, Triple


@dataclass(frozen=True, slots=True)
class Feeding:
    """What inference does differently from training; does not concern coarse networks.

    Attributes:
        views: views for test-time augmentation, besides ``"identity"``.
        spacing_mm: voxel size (K, J, I); None for that of the training.
        window_shape: sliding windows (K, J, I); None for the patches of the training.
        margin_mm: what the region of interest is widened by along (K, J, I); None for that of the
            training.
        labels_first: decide labels on the network's grid, then resample by nearest neighbor.
    """

    views: tuple[str, ...] = ()
    spacing_mm: Triple | None = None
    window_shape: Shape | None = None
    margin_mm: Triple | None = None
    labels_first: bool = False
