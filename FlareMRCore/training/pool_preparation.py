"""How the cases of a training on pools are brought to the network: values only, for recipes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from FlareMRCore.data.geometry import Shape, Triple
from FlareMRCore.data.normalization import Normalization
from FlareMRCore.errors import UsageError


@dataclass(frozen=True, slots=True)
class PoolPreparation:
    """Grid, region and intensities; the axes are always along S, A, R (RAS).

    Attributes:
        spacing_mm: voxel size (K, J, I); 0 for axes that stay as they are.
        fixed_shape: voxels (K, J, I) that the region is stretched to, instead of a spacing.
        region: ``"whole"`` image, the box around the ``"labels"``, or that around the
            ``"foreground"``: what is brighter than the lower end of `clip`.
        margin_mm: what that box is widened by along (K, J, I).
        margin_jitter_mm: up to this much more or less at each of the six sides.
        copies: how often each case is prepared, each time with other margins.
        normalization: see `Normalization`.
        ct_normalization: the same for CT; None if there is no difference.
    """

    spacing_mm: Triple | None = None
    fixed_shape: Shape | None = None
    region: Literal["whole", "labels", "foreground"] = "whole"
    margin_mm: Triple = (0.0, 0.0, 0.0)
    margin_jitter_mm: float = 0.0
    copies: int = 1
    normalization: Normalization = field(default_factory=Normalization)
    ct_normalization: Normalization | None = None

    def __post_init__(self) -> None:
        if (self.spacing_mm is None) == (self.fixed_shape is None):
            raise UsageError("Give either spacing_mm or fixed_shape.", code="usage.preparation")
        if self.region == "foreground" and not self.normalization.clip:
            raise UsageError(
                "Region 'foreground' needs normalization.clip.", code="usage.preparation"
            )
        if self.copies < 1:
            raise UsageError("copies is at least 1.", code="usage.preparation")
