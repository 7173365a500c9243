"""Training on pools as a stage: pools, targets, guards, resume and what is left for the export."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from FlareMRCore.data.dataset import sha256_of
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.normalization import Normalization
from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.errors import Cancelled, DatasetError, RecipeError
from FlareMRCore.pipeline.recipe_cases import DataFile, RecipeCase
from FlareMRCore.pipeline.stage import StageContext, StageInputs
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_pools import PoolStageParameters
from FlareMRCore.pipeline.stages_training import NETWORK_NAME
from FlareMRCore.progress import Reporter, SilentReporter
from FlareMRCore.training.learning_parameters import (
    Averaging,
    BatchComposition,
    Optimization,
    TrainerParameters,
)
from FlareMRCore.training.pool_parameters import PoolTrainingParameters
from FlareMRCore.training.pool_preparation import PoolPreparation
from FlareMRCore.training.pool_targets import Target

pytestmark = pytest.mark.torch
MIXED = (("labeled", 1), ("pseudo", 1))
GEOMETRY = phantom_geometry(16.0)


def _case(folder: Path, seed: int, sequence: str = "ct", **changes: Any) -> RecipeCase:
    volume, labels = make_phantom(seed, sequence, geometry=GEOMETRY)
    image, label_map = folder / f"{seed}.nii.gz", folder / f"{seed}-labels.nii.gz"
    write_volume(image, volume)
    write_label_map(label_map, labels)
    case = RecipeCase(
        f"case{seed}",
        f"p{seed}",
        "source" if sequence == "ct" else "target",
        "CT" if sequence == "ct" else "MR",
        {sequence: DataFile(image, sha256_of(image))},
        DataFile(label_map, sha256_of(label_map)),
        "phantom",
        tuple(label.id for label in labels.labels),
    )
    return replace(case, **changes)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[RecipeCase, ...]]:
    folder = tmp_path_factory.mktemp("cases")
    return {
        "labeled": (_case(folder, 1), _case(folder, 2)),
        "partial": (_case(folder, 3, annotated=("liver", "spleen")),),
        "unlabeled": (_case(folder, 4, "t2"),),
    }


def _parameters(builder: str = "unet-mini", steps: int = 4, **changes: Any) -> PoolStageParameters:
    training = PoolTrainingParameters(
        builder,
        changes.pop("patch_shape", (16, 16, 16)),
        TrainerParameters(steps, checkpoint_every=2),
        optimization=Optimization("adamw", 1e-3),
        composition=BatchComposition(changes.pop("shares", (("labeled", 1),))),
        augmentation="none",
    )
    training = replace(training, **changes.pop("training", {}))
    preparation = changes.pop("preparation", PoolPreparation(spacing_mm=(16.0, 16.0, 16.0)))
    return PoolStageParameters(training, preparation, **changes)


def _run(
    inputs: Mapping[str, tuple[RecipeCase, ...]],
    parameters: PoolStageParameters,
    folder: Path,
    reporter: Reporter | None = None,
    initial: Path | None = None,
) -> Path:
    out = folder / "out"
    out.mkdir(parents=True)
    context = StageContext(out, folder / "work", reporter or SilentReporter(), "cpu", 1)
    given = StageInputs(inputs, {"initial": (initial,)} if initial else {})
    assert STAGES["train-pools"].run(given, parameters, context) == ()
    return out


def test_pools_of_all_kinds_make_weights_and_their_description(
    cases: Mapping[str, tuple[RecipeCase, ...]], tmp_path: Path
) -> None:
    parameters = _parameters(
        shares=(("labeled", 1), ("partial", 1), ("unlabeled", 1)),
        training={
            "method": "mean-teacher",
            "trainer": TrainerParameters(2, averaging=Averaging("teacher", 0.9)),
        },
    )
    out = _run(cases, parameters, tmp_path)
    assert {path.name for path in out.iterdir()} == {
        "weights.pt",
        "training.json",
        NETWORK_NAME,
        "notes",
    }
    network = json.loads((out / NETWORK_NAME).read_text())
    assert network["builder"] == "unet-mini"
    assert network["modalities"] == ["CT", "MR"]


def test_labels_of_the_unlabeled_pool_are_not_opened(
    cases: Mapping[str, tuple[RecipeCase, ...]], tmp_path: Path
) -> None:
    poisoned = replace(cases["unlabeled"][0], label_map=DataFile(tmp_path / "none.nii.gz", "0"))
    parameters = _parameters(
        shares=(("labeled", 1), ("unlabeled", 1)),
        training={
            "method": "mean-teacher",
            "trainer": TrainerParameters(1, averaging=Averaging("teacher", 0.9)),
        },
    )
    _run({"labeled": cases["labeled"], "unlabeled": (poisoned,)}, parameters, tmp_path)


@pytest.mark.parametrize("pool", ["labeled", "validation"])
def test_manual_labels_of_the_target_are_refused(
    cases: Mapping[str, tuple[RecipeCase, ...]], tmp_path: Path, pool: str
) -> None:
    given = {"labeled": cases["labeled"], pool: cases["unlabeled"]}
    with pytest.raises(DatasetError) as caught:
        _run(given, _parameters(), tmp_path)
    assert caught.value.code == "recipe.target-labels"


def test_labels_that_a_model_made_of_the_target_are_taken(
    cases: Mapping[str, tuple[RecipeCase, ...]], tmp_path: Path
) -> None:
    predicted = tuple(replace(c, label_source="predicted") for c in cases["unlabeled"])
    parameters = _parameters(steps=1, shares=(("labeled", 1), ("pseudo", 1)))
    _run({"labeled": cases["labeled"], "pseudo": predicted}, parameters, tmp_path)


def test_inputs_that_no_batch_takes_and_empty_pools_are_mistakes(
    cases: Mapping[str, tuple[RecipeCase, ...]], tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="partial"):
        _run({k: cases[k] for k in ("labeled", "partial")}, _parameters(), tmp_path / "a")
    with pytest.raises(DatasetError, match="pseudo"):
        _run({"labeled": cases["labeled"]}, _parameters(shares=MIXED), tmp_path / "b")


class _StopAt(SilentReporter):
    def __init__(self, step: int) -> None:
        self.step = step

    def advance(self, phase: str, done: int, total: int, **more: Any) -> None:
        if phase == "train" and done == self.step:
            raise Cancelled


def test_an_interrupted_training_ends_with_the_same_bytes(
    cases: Mapping[str, tuple[RecipeCase, ...]], tmp_path: Path
) -> None:
    pools = {"labeled": cases["labeled"]}
    straight = _run(pools, _parameters(), tmp_path / "straight")
    with pytest.raises(Cancelled):
        _run(pools, _parameters(), tmp_path / "stopped", _StopAt(3))
    (tmp_path / "stopped" / "out").rmdir()
    stopped = _run(pools, _parameters(), tmp_path / "stopped")
    for name in ("weights.pt", "training.json", NETWORK_NAME):
        assert sha256_of(straight / name) == sha256_of(stopped / name)


def test_training_goes_on_from_initial_weights(
    cases: Mapping[str, tuple[RecipeCase, ...]], tmp_path: Path
) -> None:
    import torch

    pools = {"labeled": cases["labeled"]}
    first = _run(pools, _parameters(steps=2), tmp_path / "first")
    frozen = {"optimization": Optimization("adamw", 1e-9)}
    second = _run(pools, _parameters(steps=1, training=frozen), tmp_path / "second", None, first)
    states = [
        torch.load(folder / "weights.pt", weights_only=True)["state_dict"]
        for folder in (first, second)
    ]
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=1e-2, atol=1e-4)


def test_two_branches_learn_from_slices(
    cases: Mapping[str, tuple[RecipeCase, ...]], tmp_path: Path
) -> None:
    parameters = _parameters(
        "unet-mini-2d",
        patch_shape=(16, 16),
        shares=(("labeled", 4),),
        target=Target("organs-and-tumor"),
        preparation=PoolPreparation(
            spacing_mm=(0.0, 16.0, 16.0), normalization=Normalization("unit", (-200.0, 300.0))
        ),
    )
    out = _run({"labeled": cases["labeled"]}, parameters, tmp_path)
    assert (out / "weights.pt").is_file()


def test_a_fixed_shape_around_the_labels_and_fitted_intensities(
    cases: Mapping[str, tuple[RecipeCase, ...]], tmp_path: Path
) -> None:
    parameters = _parameters(
        "unet-mini-foreground",
        steps=1,
        target=Target("foreground"),
        preparation=PoolPreparation(
            fixed_shape=(16, 16, 16),
            region="labels",
            margin_mm=(16.0, 16.0, 16.0),
            margin_jitter_mm=16.0,
            copies=2,
            normalization=Normalization("fitted"),
        ),
    )
    out = _run({"labeled": cases["labeled"]}, parameters, tmp_path)
    rule = json.loads((out / NETWORK_NAME).read_text())["preparation"]["normalization"]
    assert rule["rule"] == "fixed"
    assert -200 < rule["mean"] < 300
    folders = sorted((tmp_path / "work/cases/labeled/00000").iterdir())
    images = [np.load(folder / "image.npy") for folder in folders]
    assert [image.shape for image in images] == [(16, 16, 16)] * 2
    assert not np.array_equal(*images)


def test_a_share_of_the_patients_is_held_out_for_the_best_weights(
    cases: Mapping[str, tuple[RecipeCase, ...]], tmp_path: Path
) -> None:
    parameters = _parameters(
        steps=2,
        validation_share=0.5,
        training={"trainer": TrainerParameters(2, validate_every=1)},
    )
    _run({"labeled": cases["labeled"]}, parameters, tmp_path)
    folders = {p.name: len(list(p.iterdir())) for p in (tmp_path / "work/cases").iterdir()}
    assert folders == {"labeled": 1, "validation": 1}
    assert "validation" in (tmp_path / "out/notes/curve.csv").read_text().splitlines()[0]


def test_the_foreground_is_what_is_brighter_than_the_window(
    cases: Mapping[str, tuple[RecipeCase, ...]], tmp_path: Path
) -> None:
    sizes = {}
    for region in ("whole", "foreground"):
        parameters = _parameters(
            steps=1,
            preparation=PoolPreparation(
                spacing_mm=(8.0, 8.0, 8.0),
                region=region,  # type: ignore[arg-type]
                normalization=Normalization("unit", (-200.0, 300.0)),
            ),
        )
        _run({"labeled": cases["labeled"]}, parameters, tmp_path / region)
        image = np.load(tmp_path / region / "work/cases/labeled/00000/000/image.npy")
        assert (image.min(), image.max()) == (0, 1)
        sizes[region] = image.shape
    assert sizes["foreground"][0] == sizes["whole"][0], "the body leaves the image above and below"
    assert sizes["foreground"][1] < sizes["whole"][1], "there is air in front of it"
