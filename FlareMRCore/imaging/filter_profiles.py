"""What tells the published papers, their code and the safe choice apart: one table."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from FlareMRCore.imaging.anatomy_filter import AnatomyRule
from FlareMRCore.imaging.pseudo_label_filters import VolumeRatioRule
from FlareMRCore.imaging.z_flip import ZFlipRule


@dataclass(frozen=True, slots=True)
class FilterProfile:
    """Settings of all filters and label operations in one profile.

    Attributes:
        volume_ratio: organ volumes (Li).
        anatomy: anatomy-aware filter (He).
        z_flip: detector of upside-down stacks (He).
        use_reach: reused labels end where the warped image ends (`reach`), whatever the
            intensities there (Li).
        intensity_floor: reused labels end where intensities go down to this, too.
        solid_mask: body masks for registration are filled and in one piece (He).
        confidence: smallest class probability of a trusted voxel; None trusts all (Li).
        drop_share: share of the most uncertain cases that go (Zhu).
    """

    volume_ratio: VolumeRatioRule = field(default_factory=VolumeRatioRule)
    anatomy: AnatomyRule = field(default_factory=AnatomyRule)
    z_flip: ZFlipRule = field(default_factory=lambda: ZFlipRule(holes_ratio=1.0))
    use_reach: bool = False
    intensity_floor: float = 0.0
    solid_mask: bool = False
    confidence: float | None = None
    drop_share: float = 0.2


PROFILES: Mapping[str, FilterProfile] = {
    "paper": FilterProfile(),
    "code": FilterProfile(
        volume_ratio=VolumeRatioRule(missing="ignore", absent_counts_zero=True),
        anatomy=AnatomyRule(min_adrenal_mm=15 * 1.2),
        confidence=0.85,
    ),
    "safe": FilterProfile(
        volume_ratio=VolumeRatioRule(missing="inside-fov"),
        z_flip=ZFlipRule(),
        use_reach=True,
        solid_mask=True,
    ),
}
"""`paper` is the default of the recipes; `code` does what was published; `safe` mends both."""
