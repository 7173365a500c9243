"""The picture of a failure: reference and prediction side by side where an organ differs most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.imaging.drawing import Picture
from FlareMRCore.imaging.orientation import CANONICAL, reorient_labels
from FlareMRCore.pipeline.preview import (
    VIEWS,
    compose,
    legend,
    require_common_grid,
    section_panels,
)


def draw_comparison(
    volume: Volume, reference: LabelMap, prediction: LabelMap, organ: str
) -> Picture:
    """Picture (rows, columns, 3) of both label maps in the plane in which the image was taken.

    Args:
        volume: image.
        reference: on the image's grid; the organs of its table are shown.
        prediction: on the image's grid; the organs of its table are shown.
        organ: id of the organ that decides about the slice.

    Raises:
        GeometryError: a label map lies on another grid.
    """
    for label_map in (reference, prediction):
        require_common_grid(volume, label_map)
    value = reference.labels.by_id(organ).value
    oriented = tuple(reorient_labels(label_map, CANONICAL) for label_map in (reference, prediction))
    axis = int(np.argmax(oriented[0].geometry.spacing_mm))
    masks = tuple(label_map.array == value for label_map in oriented)
    position = (VIEWS[axis], worst_slice(*masks, axis=axis))
    panels = []
    for title, label_map in (("reference", reference), ("prediction", prediction)):
        ((where, panel),) = section_panels(volume, label_map, (position,))
        panels.append((f"{title}: {organ}, {where}", panel))
    return compose(panels, legend(prediction))


def worst_slice(reference: NDArray[np.bool_], prediction: NDArray[np.bool_], *, axis: int) -> int:
    """Index along `axis` with most voxels in one mask only; the middle if the masks are equal."""
    across = tuple(n for n in range(reference.ndim) if n != axis)
    wrong = np.count_nonzero(reference ^ prediction, axis=across)
    return int(wrong.argmax()) if wrong.any() else int(reference.shape[axis]) // 2
