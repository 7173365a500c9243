"""The configurable U-Net: shapes, gradients, branches, and agreement with other libraries."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from FlareMRCore.errors import InputError, UsageError  # noqa: E402
from FlareMRCore.networks.blocks import BlockStyle, DropPath  # noqa: E402
from FlareMRCore.networks.unet import Branch, UNet, UNetPlan  # noqa: E402

pytestmark = pytest.mark.torch

ORGANS = Branch("organs", 4)
TUMOR = Branch("tumor", 2)
SMALL = UNetPlan(
    in_channels=1,
    channels=(4, 6, 8),
    kernels=((1, 3, 3), (3, 3, 3), (3, 3, 3)),
    strides=((1, 2, 2), (2, 2, 2)),
    branches=(ORGANS,),
    style=BlockStyle(3),
    heads=(0, 1),
)
FLAT = UNetPlan(
    in_channels=1,
    channels=(4, 6, 8),
    kernels=((3, 3),) * 3,
    strides=((2, 2),) * 2,
    branches=(ORGANS, TUMOR),
    style=BlockStyle(2, negative_slope=0.1),
    downsampling="max-pool",
    shared_stages=1,
)
VARIANTS = {
    "strided": SMALL,
    "residual": replace(SMALL, encoder="residual"),
    "separate, norms without scale, dropout": replace(
        SMALL,
        downsampling="separate",
        activated_up=True,
        dropout=0.5,
        style=BlockStyle(3, affine=False),
    ),
    "max-pool": replace(SMALL, downsampling="max-pool"),
    "2-D, two branches": FLAT,
}


def _input(plan: UNetPlan) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, plan.in_channels, *(4 * step for step in plan.multiple_of))


@pytest.mark.parametrize("plan", VARIANTS.values(), ids=VARIANTS.keys())
def test_evaluation_gives_finite_logits_of_the_input_size(plan: UNetPlan) -> None:
    x = _input(plan)
    logits = UNet(plan).eval()(x)
    assert logits.shape == (2, sum(b.classes for b in plan.branches), *x.shape[2:])
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("plan", VARIANTS.values(), ids=VARIANTS.keys())
def test_training_reaches_every_parameter(plan: UNetPlan) -> None:
    network = UNet(plan).train()
    outputs = network(_input(plan))
    levels = outputs if isinstance(outputs, list) else [outputs]
    sum(level.square().mean() for level in levels).backward()
    without = [n for n, p in network.named_parameters() if p.grad is None]
    assert without == []


def test_training_returns_the_heads_from_fine_to_coarse() -> None:
    fine, coarse = UNet(SMALL).train()(torch.randn(1, 1, 4, 16, 16))
    assert fine.shape == (1, 4, 4, 16, 16)
    assert coarse.shape == (1, 4, 4, 8, 8)


def test_dropout_acts_in_training_only() -> None:
    plan = replace(SMALL, dropout=0.5, heads=(0,))
    network, x = UNet(plan), _input(plan)
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


def test_a_frozen_branch_keeps_its_output_when_the_other_one_learns() -> None:
    network = UNet(FLAT).train()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith("branches.tumor."))
    x = _input(FLAT)
    before = network(x)
    before[:, network.branch_channels("tumor")].square().mean().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    after = network(x)
    organs, tumor = network.branch_channels("organs"), network.branch_channels("tumor")
    assert torch.equal(before[:, organs], after[:, organs])
    assert not torch.equal(before[:, tumor], after[:, tumor])


def test_branches_have_their_own_channels_and_stages() -> None:
    network = UNet(FLAT)
    assert network.branch_channels("organs") == slice(0, 4)
    assert network.branch_channels("tumor") == slice(4, 6)
    assert len(network.decoder) == 1
    with pytest.raises(UsageError, match="organs, tumor"):
        network.branch_channels("bone")


@pytest.mark.parametrize("shape", [(4, 16, 18), (0, 16, 16), (16, 16)])
def test_a_size_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\(2, 4, 4\)") as caught:
        UNet(SMALL)(torch.zeros(1, 1, *shape))
    assert caught.value.code == "network.shape"


@pytest.mark.parametrize(
    "change",
    [
        {"strides": ((2, 2, 2),)},
        {"kernels": ((3, 3, 3),)},
        {"kernels": ((3, 3),) * 3},
        {"branches": ()},
        {"branches": (ORGANS, ORGANS)},
        {"heads": (1,)},
        {"heads": (0, 2)},
        {"shared_stages": 2},
        {"channels": (4,), "kernels": ((3, 3, 3),), "strides": ()},
        {"style": BlockStyle(1)},
    ],
    ids=str,
)
def test_an_impossible_plan_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        replace(SMALL, **change)


def test_a_new_residual_block_is_the_identity_before_its_rectifier() -> None:
    network = UNet(replace(SMALL, encoder="residual"))
    block = network.encoder[0][1][1]
    x = torch.rand(1, 4, 2, 4, 4)
    assert torch.equal(block(x), x)


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(1)
    dropped = DropPath(0.25).train()(torch.ones(4000, 3))
    assert sorted(set(dropped.flatten().tolist())) == pytest.approx([0.0, 4 / 3])
    assert torch.equal(dropped[:, 0], dropped[:, 2])
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.05)
    x = torch.ones(3)
    assert DropPath(0.25).eval()(x) is x


def _layers(network: nn.Module) -> list[nn.Module]:
    """Layers with weights in the order in which the network is built."""
    kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    norms = (nn.InstanceNorm2d, nn.InstanceNorm3d)
    seen: dict[int, nn.Module] = {
        id(m): m for m in network.modules() if isinstance(m, kinds + norms)
    }
    return list(seen.values())


def _copy_weights(source: list[nn.Module], target: list[nn.Module]) -> None:
    assert len(source) == len(target)
    for ours, theirs in zip(target, source, strict=True):
        torch.manual_seed(2)
        state = {k: torch.randn_like(v) * 0.1 for k, v in theirs.state_dict().items()}
        theirs.load_state_dict(state)
        ours.load_state_dict(state)


def _sorted(network: nn.Module, groups: tuple[str, ...]) -> list[nn.Module]:
    """Layers of the named parts, in that order."""
    return [layer for group in groups for layer in _layers(network.get_submodule(group))]


@pytest.mark.parametrize("encoder", ["plain", "residual"])
def test_equals_dynamic_network_architectures(encoder: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unet = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    plan = replace(SMALL, encoder=encoder)
    common = {
        "input_channels": 1,
        "n_stages": 3,
        "features_per_stage": list(plan.channels),
        "conv_op": nn.Conv3d,
        "kernel_sizes": [list(kernel) for kernel in plan.kernels],
        "strides": [[1, 1, 1], *(list(step) for step in plan.strides)],
        "num_classes": 4,
        "n_conv_per_stage_decoder": 2,
        "conv_bias": True,
        "norm_op": nn.InstanceNorm3d,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
        "deep_supervision": True,
    }
    if encoder == "plain":
        theirs = unet.PlainConvUNet(n_conv_per_stage=2, **common)
    else:
        theirs = unet.ResidualEncoderUNet(n_blocks_per_stage=2, **common)
    # dynamic-network-architectures builds a projection without bias, as we do.
    ours = UNet(plan)
    parts = ["decoder.stages", "decoder.transpconvs", "decoder.seg_layers"]
    mine = [
        *_layers(ours.encoder),
        *(la for st in ours.branches["organs"].stages for la in _layers(st.convs)),
        *(la for st in ours.branches["organs"].stages for la in _layers(st.up)),
        *(ours.branches["organs"].heads[str(i)] for i in (1, 0)),
    ]
    _copy_weights(_sorted(theirs, ("encoder", *parts)), mine)
    x = _input(plan)
    for expected, found in zip(theirs.train()(x), ours.train()(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_equals_basic_unet_of_monai() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        monai = pytest.importorskip("monai.networks.nets")
    plan = UNetPlan(
        in_channels=1,
        channels=(4, 4, 8, 16, 32),
        kernels=((3, 3),) * 5,
        strides=((2, 2),) * 4,
        branches=(ORGANS,),
        style=BlockStyle(2, negative_slope=0.1),
        downsampling="max-pool",
    )
    theirs = monai.BasicUNet(2, 1, 4, (4, 4, 8, 16, 32, 4))
    ours = UNet(plan)
    stages = [layer for i in (4, 3, 2, 1) for layer in _layers(theirs.get_submodule(f"upcat_{i}"))]
    encoder = ("conv_0", "down_1", "down_2", "down_3", "down_4")
    branch = ours.branches["organs"]
    _copy_weights(
        [*_sorted(theirs, encoder), *stages, theirs.final_conv],
        [*_layers(ours.encoder), *_layers(branch.stages), branch.heads["0"]],
    )
    for level, stage in zip((4, 3, 2, 1), branch.stages, strict=True):
        # MONAI concatenates the encoder's features first, we (like nnU-Net) the upsampled ones.
        weight = theirs.get_submodule(f"upcat_{level}").convs.conv_0.conv.weight.data
        half = weight.shape[1] // 2
        stage.convs[0].conv.weight.data = torch.cat((weight[:, half:], weight[:, :half]), dim=1)
    x = torch.randn(2, 1, 32, 64)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-4, atol=1e-5)
