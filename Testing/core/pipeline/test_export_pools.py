"""What is exported segments as its networks do when they are asked directly."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from FlareMRCore.data.normalization import Normalization  # noqa: E402
from FlareMRCore.data.phantom import make_phantom, phantom_geometry  # noqa: E402
from FlareMRCore.data.volume import LabelMap, Volume  # noqa: E402
from FlareMRCore.errors import UsageError  # noqa: E402
from FlareMRCore.imaging.resampling import resample_labels_to  # noqa: E402
from FlareMRCore.inference.network_grid import network_grid, network_input  # noqa: E402
from FlareMRCore.inference.preparation import prepare  # noqa: E402
from FlareMRCore.inference.segmentation import SegmentOptions, load_model, segment  # noqa: E402
from FlareMRCore.inference.upsampling import upsample_labels  # noqa: E402
from FlareMRCore.networks.builders import build_network  # noqa: E402
from FlareMRCore.pipeline.stage import StageContext, StageInputs  # noqa: E402
from FlareMRCore.pipeline.stages import STAGES  # noqa: E402
from FlareMRCore.pipeline.stages_pools import write_network_file  # noqa: E402
from FlareMRCore.pipeline.stages_training import WEIGHTS_NAME  # noqa: E402
from FlareMRCore.progress import SilentReporter  # noqa: E402
from FlareMRCore.training.checkpoint import export_state  # noqa: E402
from FlareMRCore.training.feeding import Feeding  # noqa: E402
from FlareMRCore.training.model_description import ModelDescription  # noqa: E402
from FlareMRCore.training.pool_preparation import PoolPreparation  # noqa: E402
from FlareMRCore.training.pool_targets import Target  # noqa: E402
from FlareMRCore.weights.models import load_entry_from_path  # noqa: E402
from FlareMRCore.weights.registry import NetworkSpec  # noqa: E402

pytestmark = pytest.mark.torch
GEOMETRY = phantom_geometry(14.0)
SPACED = PoolPreparation(spacing_mm=(14.0, 14.0, 14.0), normalization=Normalization("z-score"))
OPTIONS = SegmentOptions(keep_largest=False, half_precision=False, threads=1)


@pytest.fixture(scope="module")
def volume() -> Volume:
    return make_phantom(3, "t2", geometry=GEOMETRY)[0]


def _trained(
    folder: Path,
    builder: str,
    *,
    target: Target | None = None,
    preparation: PoolPreparation = SPACED,
    patch: tuple[int, ...] = (16, 16, 16),
    modalities: tuple[str, ...] = ("MR",),
) -> Path:
    """What a training leaves behind, with random weights."""
    torch.manual_seed(len(builder))
    folder.mkdir(parents=True)
    export_state(folder / WEIGHTS_NAME, build_network(builder).state_dict(), builder)
    write_network_file(folder, builder, patch, preparation, target or Target(), modalities)
    return folder


def _export(folder: Path, *networks: Path, **feeding: Any) -> Path:
    out = folder / "model"
    out.mkdir()
    context = StageContext(out, folder / "work", SilentReporter())
    parameters = ModelDescription("test", "Test", feeding=Feeding(**feeding))
    STAGES["export-weights"].run(StageInputs({}, {"networks": networks}), parameters, context)
    return out


def _segmented(model_folder: Path, volume: Volume, **options: Any) -> LabelMap:
    entry, found = load_entry_from_path(model_folder)
    files = {file.name: found / file.name for file in entry.files}
    model = load_model(entry, files, device="cpu")
    return segment(volume, model, replace(OPTIONS, **options), SilentReporter()).label_map


def _direct(folder: Path, builder: str) -> Any:
    network = build_network(builder).eval()
    state = torch.load(folder / WEIGHTS_NAME, weights_only=True)["state_dict"]
    network.load_state_dict({name: value.float() for name, value in state.items()})
    return network


def _logits(network: Any, spec: NetworkSpec, volume: Volume, box: Any = None) -> Any:
    """Logits of one pass over the whole image, and their grid."""
    frame = prepare(volume, finest_spacing_mm=0.5)
    image = frame.aligned
    whole = image.geometry.cropped(box) if box else image.geometry
    from FlareMRCore.data.geometry import Box

    grid = network_grid(spec, image.geometry, box or Box((0, 0, 0), whole.shape))
    x = network_input(image, grid, frame.statistics, spec.normalization)
    with torch.inference_mode():
        logits = network(x) if x.ndim == 5 else None
    return logits[0], grid


def _spec(builder: str, preparation: PoolPreparation, multiple: int = 8) -> NetworkSpec:
    return NetworkSpec(
        builder, "", preparation.spacing_mm, preparation.fixed_shape, (multiple,) * 3,
        organs=True, normalization=preparation.normalization,
    )  # fmt: skip


def test_a_network_of_a_spacing_equals_its_own_pass(tmp_path: Path, volume: Volume) -> None:
    folder = _trained(tmp_path / "net", "unet-mini", patch=(64, 64, 64))
    logits, grid = _logits(_direct(folder, "unet-mini"), _spec("unet-mini", SPACED), volume)
    expected = upsample_labels(logits, grid, volume.geometry, SilentReporter())
    found = _segmented(_export(tmp_path, folder), volume)
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(found.array, expected)


def test_labels_are_decided_before_resampling_if_asked_for(tmp_path: Path, volume: Volume) -> None:
    coarse = replace(SPACED, spacing_mm=(28.0, 28.0, 28.0))
    folder = _trained(tmp_path / "net", "unet-mini", preparation=coarse, patch=(64, 64, 64))
    logits, grid = _logits(_direct(folder, "unet-mini"), _spec("unet-mini", coarse), volume)
    small = LabelMap(logits.argmax(0).numpy().astype(np.uint8), grid, _segmented_table())
    expected = resample_labels_to(small, volume.geometry).array
    found = _segmented(_export(tmp_path, folder, labels_first=True), volume)
    np.testing.assert_array_equal(found.array, expected)


def _segmented_table() -> Any:
    from FlareMRCore.data.labels import organ_table

    return organ_table()


def test_slices_of_two_branches_are_merged_with_tumors_on_top(
    tmp_path: Path, volume: Volume
) -> None:
    folder = _trained(
        tmp_path / "net", "unet-mini-2d", target=Target("organs-and-tumor"), patch=(16, 16)
    )
    network = _direct(folder, "unet-mini-2d")
    spec = replace(_spec("unet-mini-2d", SPACED), multiple_of=(1, 8, 8))

    def slices(x: Any) -> Any:
        return torch.stack([network(x[:, :, k])[0] for k in range(x.shape[2])], 1)[None]

    logits, grid = _logits(slices, spec, volume)
    organs = upsample_labels(logits[:14], grid, volume.geometry, SilentReporter())
    tumor = upsample_labels(logits[14:], grid, volume.geometry, SilentReporter())
    expected = np.where(tumor > 0, 14, organs)
    found = _segmented(_export(tmp_path, folder), volume)
    assert found.labels.values == tuple(range(1, 15))
    assert (expected == 14).any()
    assert (expected != 14).any()
    np.testing.assert_array_equal(found.array, expected)


def test_two_stages_of_fixed_shapes_with_a_network_for_tumors(
    tmp_path: Path, volume: Volume
) -> None:
    fixed = PoolPreparation(fixed_shape=(16, 16, 16), normalization=Normalization("z-score"))
    networks = [
        _trained(tmp_path / name, builder, target=Target(name), preparation=fixed)  # type: ignore[arg-type]
        for name, builder in (
            ("foreground", "unet-mini-foreground"),
            ("organs", "unet-mini"),
            ("tumor", "unet-mini-tumor"),
        )
    ]
    model = _export(tmp_path, *networks, margin_mm=(28.0, 14.0, 14.0))
    entry, _ = load_entry_from_path(model)
    assert entry.coarse is not None
    assert entry.fine is not None
    assert entry.tumor is not None
    assert entry.fine.margin_mm == (28.0, 14.0, 14.0)
    found = _segmented(model, volume)
    assert found.labels.values == tuple(range(1, 15))
    only = _segmented(model, volume, organs=("tumor",))
    np.testing.assert_array_equal(only.array == 14, found.array == 14)


def test_a_network_for_tumors_alone_is_a_model_too(tmp_path: Path, volume: Volume) -> None:
    folder = _trained(tmp_path / "net", "unet-mini-tumor", target=Target("tumor"))
    found = _segmented(_export(tmp_path, folder), volume)
    assert found.labels.values == (14,)
    assert set(np.unique(found.array)) <= {0, 14}


def test_a_phtrans_of_one_shape_sees_the_whole_image(tmp_path: Path, volume: Volume) -> None:
    fixed = PoolPreparation(fixed_shape=(32, 48, 64), normalization=Normalization("z-score"))
    folder = _trained(tmp_path / "net", "phtrans-mini", preparation=fixed, patch=(32, 48, 64))
    logits, grid = _logits(_direct(folder, "phtrans-mini"), _spec("phtrans-mini", fixed), volume)
    expected = upsample_labels(logits, grid, volume.geometry, SilentReporter())
    np.testing.assert_array_equal(_segmented(_export(tmp_path, folder), volume).array, expected)


def test_a_phtrans_of_a_spacing_slides_windows_of_its_shape(tmp_path: Path, volume: Volume) -> None:
    """The phantom is smaller than one window along every axis, so one pass is all there is."""
    fine = replace(SPACED, spacing_mm=(10.0, 7.0, 9.0))
    folder = _trained(tmp_path / "net", "phtrans-mini", preparation=fine, patch=(32, 48, 64))
    spec = replace(_spec("phtrans-mini", fine, 1), fixed_shape=(32, 48, 64))
    logits, grid = _logits(_direct(folder, "phtrans-mini"), spec, volume)
    assert grid.shape == (32, 48, 64)
    expected = upsample_labels(logits, grid, volume.geometry, SilentReporter())
    np.testing.assert_array_equal(_segmented(_export(tmp_path, folder), volume).array, expected)


def test_networks_of_ct_take_ct_with_its_own_normalization(tmp_path: Path) -> None:
    ct = make_phantom(3, "ct", geometry=GEOMETRY)[0]
    both = replace(SPACED, ct_normalization=Normalization("unit", (-200.0, 300.0)))
    folder = _trained(
        tmp_path / "net", "unet-mini", preparation=both, modalities=("CT",), patch=(64, 64, 64)
    )
    window = replace(_spec("unet-mini", both), normalization=both.ct_normalization)
    logits, grid = _logits(_direct(folder, "unet-mini"), window, ct)
    expected = upsample_labels(logits, grid, ct.geometry, SilentReporter())
    np.testing.assert_array_equal(_segmented(_export(tmp_path, folder), ct).array, expected)


def test_networks_without_a_spacing_need_one(tmp_path: Path) -> None:
    native = replace(SPACED, spacing_mm=(0.0, 14.0, 14.0))
    folder = _trained(tmp_path / "net", "unet-mini-2d", preparation=native, patch=(16, 16))
    with pytest.raises(UsageError) as caught:
        _export(tmp_path, folder)
    assert caught.value.code == "usage.spacing"
    assert "spacing_mm" in asdict(Feeding())
