"""Does one MR get the same organs however it is stored? Real weights, real image, every trick.

All 48 orders and directions of the axes, oblique copies, a cropped-and-padded copy, and
intensities scaled and shifted; each compared with the image as it is, in world space.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.imaging.orientation import reorient
from FlareMRCore.imaging.resampling import resample_labels_to, resample_to
from FlareMRCore.pipeline.engine import EngineOptions, open_engine
from FlareMRCore.progress import SilentReporter

LIMIT = 0.99
ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*axes)
]
SCALES = ((1e-3, 0.0), (1e6, 0.0), (1.0, 5000.0), (1e6, -3e7), (1e-3, 4.0))


@dataclass(frozen=True)
class Variant:
    """A copy of the image, and the smallest mean DSC that it must reach (0: reported only)."""

    name: str
    volume: Volume
    limit: float = LIMIT


def tilted(geometry: Geometry, degrees: float) -> Geometry:
    """`geometry` turned about its center, around two axes."""
    angle = np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ turn
    center = geometry.index_to_world((np.array(geometry.shape) - 1) / 2)
    move = np.eye(4)
    move[:3, :3], move[:3, 3] = turn, center - turn @ center
    return Geometry.from_affine(move @ geometry.affine, geometry.shape)


def oblique(volume: Volume, degrees: float) -> Volume:
    """The same scene sampled on turned axes, in voxels fine enough to lose little."""
    geometry = volume.geometry
    shape = tuple(
        max(n, round(n * s / 2.0)) for n, s in zip(geometry.shape, geometry.spacing_mm, strict=True)
    )
    fine = geometry.resized((shape[0], shape[1], shape[2]))
    return resample_to(volume, tilted(fine, degrees), fill=float(volume.array.min()))


def refitted(volume: Volume, *, crop: int, pad: int) -> Volume:
    """Without `crop` outer voxels along J and I on one side, with constant ones on the others."""
    cut = volume.array[:, crop:, crop:]
    low = float(volume.array.min())
    array = np.pad(cut, ((pad // 4, pad // 3), (0, pad), (pad, 0)), constant_values=low)
    first = np.array([-(pad // 4), crop, crop - pad], dtype=np.float64)
    r, a, s = (float(x) for x in volume.geometry.index_to_world(first))
    return Volume(array, replace(volume.geometry, shape=array.shape, origin=(r, a, s)))


def variants(volume: Volume) -> Iterator[Variant]:
    """All copies, made one by one."""
    for codes in ORIENTATIONS:
        yield Variant(f"axes {codes}", reorient(volume, codes))
    yield Variant("padded", refitted(volume, crop=0, pad=11))
    yield Variant("cropped", refitted(volume, crop=6, pad=0))
    yield Variant("cropped and padded", refitted(volume, crop=6, pad=11))
    for scale, offset in SCALES:
        array = (volume.array.astype(np.float64) * scale + offset).astype(np.float32)
        yield Variant(f"intensity x {scale:g} + {offset:g}", Volume(array, volume.geometry))
    for degrees in (5.0, 20.0):
        yield Variant(f"oblique copy, {degrees:g} degrees", oblique(volume, degrees))


def mean_dice(first: LabelMap, second: LabelMap, seen: np.ndarray) -> tuple[float, float, str]:  # type: ignore[type-arg]
    """Mean and smallest DSC over the organs of `first` in the voxels `seen`, and the worst."""
    scores = {}
    for label in first.labels:
        a, b = first.array[seen] == label.value, second.array[seen] == label.value
        if a.any() or b.any():
            scores[label.id] = 2 * int((a & b).sum()) / (int(a.sum()) + int(b.sum()))
    if not scores:
        return 1.0, 1.0, "no organ found"
    worst = min(scores, key=lambda name: scores[name])
    return float(np.mean(list(scores.values()))), scores[worst], worst


def main() -> int:
    """Run all copies; 1 if one of them falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("--weights", help="identifier or path; default: the default weights")
    parser.add_argument("--modes", default="fast,standard")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="every seventh orientation only")
    arguments = parser.parse_args()
    volume = read_volume(arguments.image)
    failed = 0
    for mode in arguments.modes.split(","):
        options = EngineOptions(
            weights=arguments.weights, mode=mode, device="cpu", threads=arguments.threads
        )
        engine = open_engine(options, SilentReporter())
        expected = engine.segment(volume, SilentReporter()).label_map
        print(f"\n{mode}: organs {sorted(set(np.unique(expected.array)) - {0})}")
        for number, variant in enumerate(variants(volume)):
            if arguments.quick and number < len(ORIENTATIONS) and number % 7:
                continue
            found = engine.segment(variant.volume, SilentReporter()).label_map
            everywhere = Volume(np.ones(found.geometry.shape, np.float32), found.geometry)
            seen = resample_to(everywhere, volume.geometry).array > 0.999
            back = resample_labels_to(found, volume.geometry)
            mean, lowest, worst = mean_dice(expected, back, seen)
            there = resample_labels_to(expected, found.geometry)
            ceiling = mean_dice(expected, resample_labels_to(there, volume.geometry), seen)[0]
            verdict = "ok" if mean >= variant.limit else "BELOW"
            failed += verdict == "BELOW"
            same = float((expected.array == back.array)[seen].mean())
            print(
                f"{mode:9s} {variant.name:28s} mean DSC {mean:.4f}  lowest {lowest:.4f} ({worst})"
                f"  equal voxels {same:.6f}  resampling alone {ceiling:.4f}  {verdict}",
                flush=True,
            )
    print(f"\n{failed} below {LIMIT}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
