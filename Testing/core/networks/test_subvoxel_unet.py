import sys
from pathlib import Path

import torch

from FlareMRCore.networks.subvoxel_unet import (
    SubvoxelUNet,
    flaremr_base,
    flaremr_coarse,
    flaremr_fine,
    flaremr_wide,
    fold,
    inflate_subvoxels,
    unfold,
    widen,
)

sys.path.insert(0, str(Path(__file__).parent))
from gradients import bfloat16_gradient_error


def test_unfold_undoes_fold() -> None:
    x = torch.randn(2, 3, 4, 6, 8)
    assert torch.equal(unfold(fold(x, 2), 2), x)


def test_a_fold_channel_is_a_subgrid() -> None:
    x = torch.randn(1, 1, 4, 4, 4)
    assert torch.equal(fold(x, 2)[0, 5], x[0, 0, 1::2, 0::2, 1::2])


def test_the_inflated_network_repeats_the_coarse_answer() -> None:
    torch.manual_seed(0)
    coarse = SubvoxelUNet(classes=3, subvoxels=1, widths=(8, 16)).eval()
    fine = SubvoxelUNet(classes=3, subvoxels=2, widths=(8, 16)).eval()
    fine.load_state_dict(inflate_subvoxels(coarse.state_dict(), 2))
    x = torch.randn(1, 1, 16, 8, 16)
    with torch.no_grad():
        pooled = coarse(torch.nn.functional.avg_pool3d(x, 2))
        expected = torch.nn.functional.interpolate(pooled, scale_factor=2, mode="nearest")
        assert torch.allclose(fine(x), expected, atol=1e-5)


def test_parameter_counts() -> None:
    assert sum(p.numel() for p in flaremr_base().parameters()) == 1_841_102
    assert sum(p.numel() for p in flaremr_coarse().parameters()) == 1_850_384
    assert sum(p.numel() for p in flaremr_fine().parameters()) == 1_850_384
    assert sum(p.numel() for p in flaremr_wide().parameters()) == 4_154_080


def test_backward_reaches_every_parameter() -> None:
    network = SubvoxelUNet(classes=3, subvoxels=2, widths=(8, 16))
    network(torch.randn(1, 1, 16, 16, 16)).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())


def test_the_wide_network_answers_nearly_as_the_narrow_one() -> None:
    torch.manual_seed(0)
    narrow = SubvoxelUNet(classes=3, subvoxels=2, widths=(16, 32)).eval()
    wide = SubvoxelUNet(classes=3, subvoxels=2, widths=(24, 48)).eval()
    x = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        expected = narrow(x)
        fresh_error = (wide(x) - expected).square().mean()
        wide.load_state_dict(widen(narrow.state_dict(), wide.state_dict()))
        error = (wide(x) - expected).square().mean()
    assert error < 0.1 * expected.var()
    assert error < 0.1 * fresh_error


def test_channels_are_copied_within_their_normalization_group() -> None:
    narrow = SubvoxelUNet(classes=3, subvoxels=2, widths=(16, 16)).state_dict()
    wide = SubvoxelUNet(classes=3, subvoxels=2, widths=(32, 32)).state_dict()
    narrow["stem.bias"] = torch.arange(16.0)
    groups = widen(narrow, wide)["stem.bias"].reshape(8, 4)
    assert groups[:2].tolist() == [[0, 1, 0, 1], [2, 3, 2, 3]]


def test_gradients_over_two_slices_are_right_in_bfloat16() -> None:
    torch.manual_seed(0)
    network = SubvoxelUNet(classes=3, subvoxels=1, widths=(32, 64))
    x = torch.randn(1, 1, 4, 20, 28)
    error = bfloat16_gradient_error(
        network, "encoder.1.conv2.weight", x, lambda logits: logits.square().mean()
    )
    assert error < 0.1
