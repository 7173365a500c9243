"""Windows, shift masks and position biases of the Swin blocks."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch")

from FlareMRCore.networks.swin import (  # noqa: E402
    SwinBlock,
    WindowAttention,
    merge_windows,
    partition_windows,
    relative_positions,
    shift_mask,
)

pytestmark = pytest.mark.torch

SHAPE, WINDOW, SHIFT = (6, 8, 4), (3, 4, 2), (1, 2, 1)


def test_windows_come_back_as_they_were() -> None:
    x = torch.randn(2, *SHAPE, 5)
    windows = partition_windows(x, WINDOW)
    assert windows.shape == (2 * 8, 24, 5)
    assert torch.equal(windows[0].reshape(*WINDOW, 5), x[0, :3, :4, :2])
    assert torch.equal(merge_windows(windows, WINDOW, shape=SHAPE), x)


def test_pairs_of_equal_displacement_share_a_bias_and_no_others_do() -> None:
    index = relative_positions(WINDOW)
    places = list(itertools.product(*(range(size) for size in WINDOW)))
    seen: dict[tuple[int, ...], int] = {}
    for a, b in itertools.product(range(len(places)), repeat=2):
        displacement = tuple(p - q for p, q in zip(places[a], places[b], strict=True))
        assert seen.setdefault(displacement, int(index[a, b])) == int(index[a, b])
    assert len(set(seen.values())) == len(seen) == 5 * 7 * 3
    assert (int(index.min()), int(index.max())) == (0, 5 * 7 * 3 - 1)


def test_mask_is_symmetric_and_lets_each_voxel_see_itself() -> None:
    mask = shift_mask(SHAPE, WINDOW, SHIFT)
    assert mask.shape == (8, 24, 24)
    assert torch.equal(mask, mask.transpose(1, 2))
    assert (mask.diagonal(dim1=1, dim2=2) == 0).all()
    assert set(mask.unique().tolist()) == {float("-inf"), 0.0}


def test_mask_separates_exactly_what_the_roll_joined() -> None:
    mask = shift_mask(SHAPE, WINDOW, SHIFT)
    axes = torch.meshgrid(*(torch.arange(size) for size in SHAPE), indexing="ij")
    rolled = torch.roll(torch.stack(axes, dim=-1), tuple(-s for s in SHIFT), dims=(0, 1, 2))
    original = partition_windows(rolled[None], WINDOW)
    width = torch.tensor(WINDOW)
    # Voxels of one window are true neighbors if nowhere farther apart than the window is wide.
    apart = (original[:, :, None] - original[:, None, :]).abs()
    near = (apart < width).all(dim=-1)
    assert torch.equal(mask == 0, near)


def test_without_shift_nothing_is_masked() -> None:
    assert (shift_mask(SHAPE, WINDOW, (0, 0, 0)) == 0).all()


def test_the_whole_map_in_one_window_is_masked_too() -> None:
    mask = shift_mask(WINDOW, WINDOW, SHIFT)
    assert mask.shape == (1, 24, 24)
    assert torch.isinf(mask).any()


@pytest.mark.parametrize("masked", [False, True])
def test_attention_equals_the_formula(masked: bool) -> None:
    torch.manual_seed(0)
    attention = WindowAttention(6, 2, window=WINDOW, qkv_bias=True)
    windows = torch.randn(2 * 8, 24, 6)
    mask = shift_mask(SHAPE, WINDOW, SHIFT) if masked else None
    qkv = attention.qkv(windows)
    bias = attention.position_bias[relative_positions(WINDOW)]
    heads = []
    for head in range(2):
        part = slice(3 * head, 3 * head + 3)
        query, key, value = (block[..., part] for block in qkv.split(6, dim=-1))
        scores = query @ key.transpose(1, 2) / 3**0.5 + bias[..., head]
        if mask is not None:
            scores = scores + mask.repeat(2, 1, 1)
        heads.append(scores.softmax(dim=-1) @ value)
    expected = attention.projection(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(windows, mask), expected)


def test_query_key_and_value_have_a_bias_only_if_asked() -> None:
    assert WindowAttention(4, 2, window=WINDOW, qkv_bias=False).qkv.bias is None
    assert WindowAttention(4, 2, window=WINDOW, qkv_bias=True).qkv.bias is not None


def test_a_voxel_acts_on_its_own_shifted_window_only() -> None:
    torch.manual_seed(0)
    attention = WindowAttention(4, 2, window=WINDOW, qkv_bias=False)
    block = SwinBlock(attention, channels=4, mlp_ratio=2.0, drop_path=0.0).eval()
    mask = shift_mask(SHAPE, WINDOW, SHIFT)
    x = torch.randn(1, *SHAPE, 4)
    changed = x.clone()
    changed[0, 0, 0, 0] += torch.tensor([1.0, -2.0, 3.0, 0.5])
    arguments = {"window": WINDOW, "shift": SHIFT, "mask": mask}
    difference = (block(changed, **arguments) - block(x, **arguments)).abs().amax(dim=-1)[0]
    # The corner's shifted window is cut by the border: it keeps its first `shift` voxels.
    reached = difference > 0
    assert reached[: SHIFT[0], : SHIFT[1], : SHIFT[2]].all()
    assert int(reached.sum()) == SHIFT[0] * SHIFT[1] * SHIFT[2]
