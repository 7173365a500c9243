from dataclasses import replace

import numpy as np
import pytest
import torch

from FlareMRCore.errors import UsageError
from FlareMRCore.training.augmentation import (
    Augmentation,
    apply_augmentation,
    draw_augmentation,
    rotation_matrix,
)
from FlareMRCore.training.augmentation_parameters import (
    AUGMENTATIONS,
    AugmentationParameters,
    augmentation_named,
)


def _sample() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    labels = torch.zeros(1, 8, 16, 20, dtype=torch.int64)
    labels[:, 2:6, 4:10, 12:18] = 1
    labels[:, 2:6, 4:8, 2:6] = 13
    return labels * 1.0 + 0.1 * torch.rand(1, 8, 16, 20), labels


def _apply(augmentation: Augmentation) -> tuple[torch.Tensor, torch.Tensor]:
    return apply_augmentation(*_sample(), augmentation)


def test_nothing_drawn_changes_nothing() -> None:
    image, labels = _sample()
    drawn = draw_augmentation(AugmentationParameters(), np.random.default_rng(0))
    changed, moved = apply_augmentation(image, labels, drawn)
    assert torch.equal(changed, image)
    assert torch.equal(moved, labels)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_list_is_repeatable_and_keeps_shapes_and_label_values(name: str) -> None:
    image, labels = _sample()
    for seed in range(4):
        first, second = (
            apply_augmentation(
                image,
                labels,
                draw_augmentation(AUGMENTATIONS[name], np.random.default_rng(seed)),
            )
            for _ in range(2)
        )
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1], second[1])
        assert first[0].shape == image.shape
        assert bool(first[0].isfinite().all())
        assert set(first[1].unique().tolist()) <= {0, 1, 13}


def test_slices_are_moved_like_volumes_of_one_slice() -> None:
    image, labels = _sample()
    drawn = Augmentation(rotation_deg=(30, 0, 0), elastic=(50, 9.0), in_plane=True, seed=4)
    flat = apply_augmentation(image[:, 3], labels[:, 3], drawn)
    deep = apply_augmentation(image[:, 3:4], labels[:, 3:4], drawn)
    assert torch.equal(flat[0], deep[0][:, 0])
    assert torch.equal(flat[1], deep[1][:, 0])


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    image = torch.rand(1, 3, 9, 9)
    turned, _ = apply_augmentation(image, image.long(), Augmentation(rotation_deg=(90, 0, 0)))
    wanted = [torch.rot90(image, n, (2, 3)) for n in (1, 3)]
    assert min(float((turned - w).abs().max()) for w in wanted) < 1e-4
    assert rotation_matrix((90, 0, 0)) == pytest.approx(
        np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), abs=1e-12
    )


def test_image_and_labels_move_together() -> None:
    image = torch.zeros(1, 12, 24, 24)
    image[:, 4:8, 6:18, 8:16] = 1
    drawn = Augmentation(
        rotation_deg=(20, 5, 5), scale=0.8, shift=(0.0, 0.1, -0.05), elastic=(60, 9), seed=1
    )
    changed, moved = apply_augmentation(image, image.long(), drawn)
    assert not torch.equal(changed, image)
    assert float(((changed > 0.5) == (moved == 1)).float().mean()) > 0.99


def test_scale_above_one_shows_more() -> None:
    _, labels = _sample()
    smaller = _apply(Augmentation(scale=1.25))[1]
    larger = _apply(Augmentation(scale=0.8))[1]
    assert (smaller > 0).sum() < (labels > 0).sum() < (larger > 0).sum()


def test_a_shift_by_whole_voxels_is_exact() -> None:
    _image, labels = _sample()
    _, moved = _apply(Augmentation(shift=(0, 0, 0.1)))
    assert torch.equal(moved[..., :18], labels[..., 2:])
    assert bool((moved[..., 18:] == 0).all())


def test_mirroring_keeps_label_values() -> None:
    image, labels = _sample()
    changed, moved = _apply(Augmentation(mirrored=(2,)))
    assert torch.equal(changed, image.flip(3))
    assert torch.equal(moved, labels.flip(3))


def test_changes_of_values_by_hand() -> None:
    image, _ = _sample()
    assert torch.allclose(_apply(Augmentation(multiply=1.2))[0], image * 1.2)
    assert torch.allclose(_apply(Augmentation(add=0.3))[0], image + 0.3)
    contrast = _apply(Augmentation(contrast=0.5))[0]
    assert torch.allclose(contrast, (image - image.mean()) * 0.5 + image.mean(), atol=1e-6)
    noise = _apply(Augmentation(noise_deviation=0.2, seed=3))[0] - image
    assert float(noise.std()) == pytest.approx(0.2, rel=0.1)
    blurred = _apply(Augmentation(blur_vox=(0.0, 1.0, 1.0)))[0]
    assert float(blurred.std()) < float(image.std())


@pytest.mark.parametrize("field", ["gamma", "gamma_inverted"])
def test_gamma_keeps_mean_deviation_and_order(field: str) -> None:
    image, _ = _sample()
    changed = _apply(replace(Augmentation(), **{field: 1.6}))[0]
    assert float(changed.mean()) == pytest.approx(float(image.mean()), abs=1e-4)
    assert float(changed.std()) == pytest.approx(float(image.std()), abs=1e-4)
    order = image.flatten().argsort()
    assert bool((changed.flatten()[order].diff() >= -1e-5).all())
    middle = float(changed.median() - changed.amin()) / float(changed.amax() - changed.amin())
    before = float(image.median() - image.amin()) / float(image.amax() - image.amin())
    assert (middle < before) == (field == "gamma")


def test_low_resolution_in_the_plane_spares_the_slices() -> None:
    image, _ = _sample()
    changed = _apply(Augmentation(low_resolution=0.5, in_plane=True))[0]
    alone = apply_augmentation(
        image[:, 2:3], image[:, 2:3].long(), Augmentation(low_resolution=0.5, in_plane=True)
    )[0]
    assert torch.allclose(changed[:, 2:3], alone)
    assert float(changed.std()) < float(image.std())


def test_a_cutout_is_background() -> None:
    changed, moved = _apply(Augmentation(cutout=((0.0, 0.0, 0.0), 12)))
    assert bool((moved[:, :, :12, :12] == 0).all())
    assert float(changed[:, :, :12, :12].std()) == 0


def test_an_exclusive_list_does_one_thing_or_none() -> None:
    parameters = augmentation_named("he2024-patches")
    counts = set()
    for seed in range(60):
        drawn = draw_augmentation(parameters, np.random.default_rng(seed))
        done = [drawn.rotation_deg, drawn.elastic, drawn.noise_deviation, drawn.blur_vox,
                drawn.add, drawn.contrast]  # fmt: skip
        counts.add(sum(value is not None for value in done))
    assert counts == {0, 1}


def test_probabilities_are_kept() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_augmentation(AUGMENTATIONS["nnunet"], rng) for _ in range(2000)]
    assert np.mean([d.scale is not None for d in drawn]) == pytest.approx(0.2, abs=0.03)
    assert np.mean([d.gamma is not None for d in drawn]) == pytest.approx(0.3, abs=0.04)
    assert np.mean([0 in d.mirrored for d in drawn]) == pytest.approx(0.5, abs=0.04)
    with pytest.raises(UsageError, match="Known: none"):
        augmentation_named("everything")
