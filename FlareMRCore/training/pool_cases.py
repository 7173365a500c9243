"""Cases of a pool: an image and a label map made into what one network sees, kept on disk.

The images go through the engine's own functions, so that training and inference see the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Box, Geometry, Triple
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import DatasetError, InputError
from FlareMRCore.imaging.cropping import foreground_box
from FlareMRCore.imaging.normalization import normalize
from FlareMRCore.imaging.resampling import resample_labels_to
from FlareMRCore.inference.network_grid import network_grid, resampled
from FlareMRCore.inference.preparation import Frame, prepare
from FlareMRCore.networks.builders import network_entry
from FlareMRCore.training.learning_parameters import IGNORE
from FlareMRCore.training.patches import TrainingCase, class_places
from FlareMRCore.training.pool_preparation import PoolPreparation
from FlareMRCore.training.pool_targets import Target, known_classes, target_labels
from FlareMRCore.weights.registry import NetworkSpec

FINEST_MM = 0.5
"""Oblique images are not resampled to finer voxels than this."""


@dataclass(frozen=True, slots=True, eq=False)
class CaseImages:
    """One case as it was read.

    Attributes:
        case_id: name.
        volume: image.
        is_ct: whether it is CT.
        label_map: with the values of `structure_table`; None for an unlabeled case.
        annotated: values that were looked for.
    """

    case_id: str
    volume: Volume
    is_ct: bool
    label_map: LabelMap | None = None
    annotated: tuple[int, ...] = ()


def prepare_cases(
    images: CaseImages,
    preparation: PoolPreparation,
    target: Target,
    builder: str,
    *,
    seed: tuple[int, ...] = (0,),
) -> Iterator[TrainingCase]:
    """What the network sees of a case: once, or `preparation.copies` times with other margins.

    Raises:
        DatasetError: image and label map lie on different grids.
        InputError: the image is constant.
    """
    if images.label_map is not None and not images.volume.geometry.coincides(
        images.label_map.geometry, tolerance_mm=0.1
    ):
        raise DatasetError(
            f"Image and label map of case {images.case_id} lie on different grids.",
            code="dataset.grid",
        )
    frame = prepare(images.volume, finest_spacing_mm=FINEST_MM)
    for copy in range(preparation.copies):
        rng = np.random.default_rng([*seed, copy])
        name = images.case_id if preparation.copies == 1 else f"{images.case_id}.{copy}"
        grid = network_grid(
            training_spec(preparation, builder, frame.aligned.geometry),
            frame.aligned.geometry,
            _region(images, frame, preparation, rng),
        )
        how = preparation.ct_normalization if images.is_ct else None
        image = normalize(
            resampled(frame.aligned, grid),
            how or preparation.normalization,
            statistics=frame.statistics,
        )
        yield _training_case(name, image, images, grid, target)


def training_spec(preparation: PoolPreparation, builder: str, image: Geometry) -> NetworkSpec:
    """How the cases of a training are brought to the network's grid.

    Axes with spacing 0 keep that of `image`. Nothing is filled up: patches do that.
    """
    spacing = preparation.spacing_mm
    if spacing is not None:
        k, j, i = (s or own for s, own in zip(spacing, image.spacing_mm, strict=True))
        spacing = (k, j, i)
    return NetworkSpec(builder, "", spacing, preparation.fixed_shape, (1, 1, 1), organs=False)


def save_training_case(case: TrainingCase, folder: Path) -> None:
    """Write the arrays of a case as separate files that can be read in parts."""
    folder.mkdir(parents=True)
    np.save(folder / "image.npy", case.image.astype(np.float16))
    if case.labels is not None:
        np.save(folder / "labels.npy", case.labels)
    header = {
        "case_id": case.case_id,
        "known": None if case.known is None else case.known.tolist(),
        "fill": float(case.image.min()),
    }
    (folder / "case.json").write_text(json.dumps(header), encoding="utf-8")
    np.savez(folder / "places.npz", **{str(v): p for v, p in case.places.items()})  # type: ignore[arg-type]  # keywords are arrays


def load_training_case(folder: Path) -> TrainingCase:
    """The case of `save_training_case`; the arrays stay on disk until parts of them are used."""
    header = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    labels = folder / "labels.npy"
    with np.load(folder / "places.npz") as content:
        places = {int(value): content[value] for value in content.files}
    known = header["known"]
    return TrainingCase(
        header["case_id"],
        np.load(folder / "image.npy", mmap_mode="r"),
        np.load(labels, mmap_mode="r") if labels.is_file() else None,
        None if known is None else np.array(known, dtype=np.bool_),
        places,
        header["fill"],
    )


def _training_case(
    name: str, image: NDArray[np.float32], images: CaseImages, grid: Geometry, target: Target
) -> TrainingCase:
    if images.label_map is None:
        return TrainingCase(name, image)
    labels = resample_labels_to(images.label_map, grid, fill=IGNORE)
    branches = target_labels(labels, images.annotated, target)
    known = known_classes(images.annotated, target)
    return TrainingCase(name, image, branches, known, class_places(branches))


def _region(
    images: CaseImages, frame: Frame, preparation: PoolPreparation, rng: np.random.Generator
) -> Box:
    """The whole image, or the box of the labels or of the foreground with a margin."""
    geometry = frame.aligned.geometry
    whole = Box((0, 0, 0), geometry.shape)
    if preparation.region == "whole":
        return whole
    if preparation.region == "foreground":
        box = foreground_box(frame.aligned.array > preparation.normalization.clip[0])
    else:
        box = _label_box(images, geometry)
    if box is None:
        return whole
    starts, stops = [], []
    for axis in range(3):
        step, length = geometry.spacing_mm[axis], geometry.shape[axis]
        low, high = _margins_mm(preparation, axis, rng)
        starts.append(max(0, min(box.start[axis] - round(low / step), length - 2)))
        stops.append(min(length, max(box.stop[axis] + round(high / step), starts[-1] + 2)))
    return Box((starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2]))


def _label_box(images: CaseImages, geometry: Geometry) -> Box | None:
    """Box of the labels on `geometry`; None if there are none in it."""
    if images.label_map is None:
        raise InputError(
            f"Case '{images.case_id}' has no labels to crop it around.",
            code="training.region",
            hint="Give labeled cases, or train on the whole image.",
        )
    labels = resample_labels_to(images.label_map, geometry).array
    return foreground_box((labels > 0) & (labels < IGNORE))


def _margins_mm(
    preparation: PoolPreparation, axis: int, rng: np.random.Generator
) -> tuple[float, float]:
    margin: Triple = preparation.margin_mm
    low, high = rng.uniform(-1, 1, 2) * preparation.margin_jitter_mm
    return max(0.0, margin[axis] + float(low)), max(0.0, margin[axis] + float(high))


def branch_classes(target: Target, builder: str) -> tuple[int, ...]:
    """Classes of each branch of the network, after checking that they fit `target`.

    Raises:
        DatasetError: the network has another number of classes.
    """
    counts = target.classes
    classes = network_entry(builder).classes
    if sum(counts) != classes:
        raise DatasetError(
            f"'{builder}' has {classes} classes; target '{target.name}' needs {sum(counts)}.",
            code="training.classes",
        )
    return counts if len(counts) > 1 else ()
