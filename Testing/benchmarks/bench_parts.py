"""Time of the parts that cost most, beside the usual way to do the same; in one process."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
import surface_distance
import torch
from scipy import ndimage

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import read_volume, write_volume
from FlareMRCore.imaging.components import keep_largest_components
from FlareMRCore.imaging.resampling import resize
from FlareMRCore.imaging.surface_distance import surface_dice, surface_distances
from FlareMRCore.inference.upsampling import upsample_labels
from FlareMRCore.progress import SilentReporter

REPEATS = 5
VALUES = tuple(range(1, 14))
TOLERANCE_MM = 3.0
Work = Callable[[], object]


def fastest(work: Work) -> tuple[float, float]:
    """Smallest processor time and smallest wall time of some runs, seconds."""
    processor, wall = [], []
    for _ in range(REPEATS):
        start, cpu = time.perf_counter(), time.process_time()
        work()
        processor.append(time.process_time() - cpu)
        wall.append(time.perf_counter() - start)
    return min(processor), min(wall)


def compare(name: str, ours: Work, others: dict[str, Work]) -> None:
    """Print one row per way, with how many times as long as ours it takes."""
    mine = fastest(ours)
    print(f"| {name} | FlareMR | {mine[0] * 1e3:.0f} | {mine[1] * 1e3:.0f} | 1.0 |", flush=True)
    for other, work in others.items():
        found = fastest(work)
        ratio = found[0] / max(mine[0], 1e-9)
        print(f"| {name} | {other} | {found[0] * 1e3:.0f} | {found[1] * 1e3:.0f} | {ratio:.1f} |")


def case() -> tuple[Volume, LabelMap, LabelMap]:
    """Phantom of 72 x 260 x 320 voxels, its labels, and labels that are a little off."""
    geometry = phantom_geometry((3.0, 1.2, 1.2), extent_mm=(216.0, 312.0, 384.0))
    volume, labels = make_phantom(3, "venous", geometry=geometry)
    moved = LabelMap(np.roll(labels.array, (1, 2, -2), (0, 1, 2)), geometry, labels.labels)
    return volume, labels, moved


def compare_upsampling(labels: LabelMap) -> None:
    """Logits at 4 mm to labels at full size."""
    small = labels.array[::1, ::3, ::3]
    one_hot = np.stack([(small == value) for value in range(14)]).astype(np.float32)
    smooth = np.stack([ndimage.gaussian_filter(channel, 1.0) for channel in one_hot])
    logits = torch.from_numpy(np.log(smooth + 1e-4))
    target = labels.geometry
    k, j, i = logits.shape[1:]
    grid: Geometry = target.resized((k, j, i))

    def everything() -> object:
        full = torch.nn.functional.interpolate(logits[None], size=target.shape, mode="trilinear")
        return full[0].argmax(0)

    compare(
        "logits to labels",
        lambda: upsample_labels(logits, grid, target, SilentReporter()),
        {"torch interpolate and argmax": everything},
    )


def compare_surface_dice(labels: LabelMap, moved: LabelMap) -> None:
    """NSD of 13 organs."""
    spacing = labels.geometry.spacing_mm
    masks = [(labels.array == value, moved.array == value) for value in VALUES]

    def ours() -> list[float]:
        return [
            surface_dice(surface_distances(a, b, spacing_mm=spacing), tolerance_mm=TOLERANCE_MM)
            for a, b in masks
        ]

    def reference() -> list[float]:
        distances = [surface_distance.compute_surface_distances(a, b, spacing) for a, b in masks]
        return [
            surface_distance.compute_surface_dice_at_tolerance(d, TOLERANCE_MM) for d in distances
        ]

    np.testing.assert_allclose(ours(), reference(), atol=1e-6)
    compare("NSD of 13 organs", ours, {"surface-distance": reference})


def compare_imaging(volume: Volume, labels: LabelMap) -> None:
    """Resizing and largest components."""
    array, shape = volume.array, (86, 206, 254)
    factors = [b / a for a, b in zip(array.shape, shape, strict=True)]
    tensor = torch.from_numpy(array.copy())[None, None]
    compare(
        "resize, linear",
        lambda: resize(array, shape),
        {
            "torch": lambda: torch.nn.functional.interpolate(tensor, shape, mode="trilinear"),
            "scipy": lambda: ndimage.zoom(array, factors, order=1, grid_mode=True, mode="nearest"),
        },
    )
    rng = np.random.default_rng(0)
    specked = labels.array.copy()
    for value in VALUES:
        specked.reshape(-1)[rng.integers(0, specked.size, 300)] = value

    def scipy_largest() -> None:
        structure = np.ones((3, 3, 3), bool)
        for value in VALUES:
            numbers, _ = ndimage.label(specked == value, structure)
            np.bincount(numbers.ravel())

    compare(
        "largest component of 13 organs",
        lambda: keep_largest_components(specked, VALUES),
        {"scipy, organ by organ": scipy_largest},
    )


def compare_files(volume: Volume, labels: LabelMap, folder: Path) -> None:
    """Reading an image, writing labels."""
    source, target = folder / "image.nii.gz", folder / "labels.nii.gz"
    whole = np.round(volume.array - volume.array.min()).astype(np.int16)
    nib.save(nib.Nifti1Image(whole.T, np.diag([1.2, 1.2, 3.0, 1.0])), source)
    compare(
        "read .nii.gz",
        lambda: read_volume(source),
        {
            "nibabel, float32": lambda: nib.load(source).get_fdata(dtype=np.float32),
            "SimpleITK": lambda: sitk.ReadImage(str(source)),
        },
    )
    image, itk = nib.Nifti1Image(labels.array.T, np.eye(4)), sitk.GetImageFromArray(labels.array)
    compare(
        "write labels .nii.gz",
        lambda: write_label_map(target, labels),
        {
            "nibabel": lambda: nib.save(image, folder / "n.nii.gz"),
            "SimpleITK": lambda: sitk.WriteImage(itk, str(folder / "s.nii.gz"), True),
        },
    )
    write_volume(folder / "image.nrrd", volume)
    compare(
        "write labels .seg.nrrd",
        lambda: write_label_map(folder / "labels.seg.nrrd", labels),
        {"SimpleITK": lambda: sitk.WriteImage(itk, str(folder / "s.nrrd"), True)},
    )


def main() -> None:
    """All comparisons on one thread."""
    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    print(f"One thread, fastest of {REPEATS}, load average {os.getloadavg()[0]:.2f}.\n")
    print("| what | with | processor ms | wall ms | times ours |\n|---|---|---|---|---|")
    volume, labels, moved = case()
    compare_upsampling(labels)
    compare_surface_dice(labels, moved)
    compare_imaging(volume, labels)
    with tempfile.TemporaryDirectory() as folder:
        compare_files(volume, labels, Path(folder))


if __name__ == "__main__":
    main()
