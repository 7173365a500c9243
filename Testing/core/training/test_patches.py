import numpy as np
import pytest

from FlareMRCore.errors import DatasetError
from FlareMRCore.training.patches import patch_start, take_patch, training_case, wants_foreground


def _labels() -> np.ndarray:
    labels = np.zeros((12, 20, 20), dtype=np.uint8)
    labels[:10, :10, :10] = 1
    labels[6, 15, 15] = 5
    labels[0, 0, 19] = 255
    return labels


def test_every_class_is_found_as_often_as_any_other() -> None:
    labels = _labels()
    case = training_case("a", labels.astype(np.float32), labels)
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(200):
        start = patch_start(case, (4, 4, 4), rng, foreground=True)
        patch = take_patch(labels, start, (4, 4, 4), fill=0)
        assert patch.any()
        hits.append(bool((patch == 5).any()))
    assert np.mean(hits) == pytest.approx(0.5, abs=0.12)
    assert set(case.places) == {1, 5}


def test_patches_anywhere_reach_every_voxel_and_stay_inside() -> None:
    image = np.zeros((6, 7), dtype=np.float32)
    case = training_case("a", image)
    rng = np.random.default_rng(0)
    starts = {patch_start(case, (4, 4), rng, foreground=True) for _ in range(300)}
    assert starts == {(k, j) for k in range(3) for j in range(4)}


def test_a_patch_larger_than_the_case_is_filled_around_it() -> None:
    image = np.ones((3, 8), dtype=np.float32)
    start = patch_start(training_case("a", image), (6, 4), np.random.default_rng(0),
                        foreground=False)  # fmt: skip
    patch = take_patch(image, start, (6, 4), fill=-5.0)
    assert patch.shape == (6, 4)
    assert (patch[1:4] == 1).sum() + (patch[2:5] == 1).sum() >= 16
    assert (patch == -5).sum() == 12


def test_branches_share_the_patch() -> None:
    labels = np.stack([_labels(), _labels() * 0 + 1])
    assert take_patch(labels, (1, 2, 3), (4, 5, 6), fill=0).shape == (2, 4, 5, 6)


def test_the_share_of_foreground_is_kept_on_average() -> None:
    rng = np.random.default_rng(0)
    drawn = [[wants_foreground(n, 4, 0.33, rng) for n in range(4)] for _ in range(1000)]
    assert np.mean(drawn) == pytest.approx(0.33, abs=0.02)
    assert all(row[0] for row in drawn)
    assert not any(row[2] or row[3] for row in drawn)


def test_image_and_labels_of_other_shapes_are_refused() -> None:
    with pytest.raises(DatasetError, match="case b"):
        training_case("b", np.zeros((2, 2), np.float32), np.zeros((2, 3), np.uint8))
