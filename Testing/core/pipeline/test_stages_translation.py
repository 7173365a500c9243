"""Windows, edges and translators as stages, on bodies of a few thousand voxels."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.errors import Cancelled, DatasetError, RecipeError
from FlareMRCore.pipeline.case_labels import require_allowed_labels
from FlareMRCore.pipeline.recipe_cases import CaseFilter, DataFile, RecipeCase
from FlareMRCore.pipeline.stage import StageContext, StageInputs
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_intensities import SobelParameters, WindowParameters
from FlareMRCore.pipeline.stages_translation import StyleParameters, TranslateParameters
from FlareMRCore.pipeline.translator_inputs import TranslatorParameters
from FlareMRCore.progress import SilentReporter
from FlareMRCore.training.learning_parameters import TrainerParameters
from FlareMRCore.training.translation_images import stored_images
from FlareMRCore.training.translation_parameters import TranslationParameters

sys.path.insert(0, str(Path(__file__).parent))
from hand_made_cases import SHAPE, body, case, context

CYCLEGAN = TranslatorParameters(
    (5.0, 5.0, 5.0),
    TranslationParameters((24, 24), TrainerParameters(2), width=2, blocks=1, memory_size=2),
    label_margin_mm=0.0,
)
DARNET = replace(
    CYCLEGAN,
    training=TranslationParameters((64, 64), TrainerParameters(1), family="darnet", width=2),
)


@pytest.fixture
def ct(tmp_path: Path) -> RecipeCase:
    image, labels = body()
    return case(tmp_path, "p1-ct", image - 400, labels, sequence="ct", domain="source")


@pytest.fixture
def mr(tmp_path: Path) -> RecipeCase:
    """Its labels are poison: whoever opens them fails."""
    image, _ = body(2)
    poison = DataFile(tmp_path / "nowhere.nii.gz", "0" * 64)
    found = case(tmp_path, "p2-t2", 900 - image, sequence="t2")
    return replace(found, label_map=poison, label_source="manual", annotated=("liver",))


def _trained(folder: Path, ct: RecipeCase, mr: RecipeCase, parameters: object) -> StageContext:
    where = context(folder)
    inputs = StageInputs({"source": (ct,), "target": (mr,)})
    assert STAGES["train-translator"].run(inputs, parameters, where) == ()
    return where


def test_ct_is_cut_to_a_window_and_mr_is_not(tmp_path: Path, ct: RecipeCase) -> None:
    stage, parameters = STAGES["window"], WindowParameters(-150.0, 200.0)
    (found,) = stage.run(StageInputs({"cases": (ct,)}), parameters, context(tmp_path))
    array = read_volume(found.image.path).array
    assert (array.min(), array.max()) == (-150, 200)
    assert found.label_map == ct.label_map
    mr = replace(ct, modality="MR")
    assert stage.run(StageInputs({"cases": (mr,)}), parameters, context(tmp_path)) == (mr,)


def test_edges_take_the_place_of_the_image(tmp_path: Path, ct: RecipeCase) -> None:
    inputs = StageInputs({"cases": (ct,)})
    (found,) = STAGES["sobel"].run(inputs, SobelParameters(), context(tmp_path))
    edges = read_volume(found.image.path).array
    assert (edges.min(), edges.max()) == (-1, 1)
    assert edges[10, 12, 17] < -0.8 < edges[10, 12, 13]
    assert (found.label_map, list(found.images)) == (ct.label_map, ["ct"])


def test_a_fake_has_grid_and_labels_of_its_source(
    tmp_path: Path, ct: RecipeCase, mr: RecipeCase
) -> None:
    where = _trained(tmp_path / "train", ct, mr, CYCLEGAN)
    inputs = StageInputs({"cases": (ct,)}, {"translator": (where.folder,)})
    (fake,) = STAGES["translate-style"].run(inputs, TranslateParameters(), context(tmp_path))
    image = read_volume(fake.image.path)
    assert image.geometry.coincides(read_volume(ct.image.path).geometry)
    assert 0 <= image.array.min() < image.array.max() <= 1000
    assert (fake.case_id, fake.domain, fake.modality) == ("p1-ct-fake", "synthetic", "MR")
    assert (fake.label_map, fake.label_source) == (ct.label_map, ct.label_source)
    assert CaseFilter(domain="synthetic")(fake)
    require_allowed_labels(fake)


def test_a_fake_of_the_target_does_not_free_its_labels(
    tmp_path: Path, ct: RecipeCase, mr: RecipeCase
) -> None:
    where = _trained(tmp_path / "train", ct, mr, CYCLEGAN)
    inputs = StageInputs({"cases": (mr,)}, {"translator": (where.folder,)})
    parameters = TranslateParameters(to="source")
    (fake,) = STAGES["translate-style"].run(inputs, parameters, context(tmp_path))
    assert (fake.domain, fake.modality) == ("target", "CT")
    with pytest.raises(DatasetError, match="no training may see"):
        require_allowed_labels(fake)


def test_styles_are_those_of_cases_or_of_clusters(
    tmp_path: Path, ct: RecipeCase, mr: RecipeCase
) -> None:
    where = _trained(tmp_path / "train", ct, mr, DARNET)
    second = case(tmp_path, "p3-t1", body(1)[0], sequence="t1_pre")
    inputs = StageInputs({"cases": (mr, second)}, {"translator": (where.folder,)})
    names, contexts = [], []
    for clusters in (0, 2):
        contexts.append(context(tmp_path / f"styles{clusters}"))
        STAGES["collect-styles"].run(inputs, StyleParameters(clusters), contexts[-1])
        content = json.loads((contexts[-1].folder / "styles.json").read_text(encoding="utf-8"))
        names.append(list(content))
        assert {len(code) for code in content.values()} == {8}
    assert names == [["p2-t2", "p3-t1"], ["cluster0", "cluster1"]]
    folders = {"translator": (where.folder,), "styles": (contexts[1].folder,)}
    inputs = StageInputs({"cases": (ct,)}, folders)
    parameters = TranslateParameters(styles_per_case=2)
    fakes = STAGES["translate-style"].run(inputs, parameters, context(tmp_path))
    assert [fake.case_id for fake in fakes] == ["p1-ct-fake0", "p1-ct-fake1"]
    images = [read_volume(fake.image.path).array for fake in fakes]
    assert not np.array_equal(*images)
    with pytest.raises(RecipeError, match="3 styles per case"):
        STAGES["translate-style"].run(
            inputs, TranslateParameters(styles_per_case=3), context(tmp_path / "many")
        )


def test_a_stopped_translator_goes_on_where_it_was(
    tmp_path: Path, ct: RecipeCase, mr: RecipeCase
) -> None:
    straight = _trained(tmp_path / "straight", ct, mr, CYCLEGAN)
    calls = iter(range(100))
    stopped = context(tmp_path / "stopped")
    # Two images, then the first step.
    reporter = SilentReporter(is_cancelled=lambda: next(calls) >= 3)
    inputs = StageInputs({"source": (ct,), "target": (mr,)})
    with pytest.raises(Cancelled):
        STAGES["train-translator"].run(inputs, CYCLEGAN, replace(stopped, reporter=reporter))
    assert (stopped.work / "checkpoint.pt").is_file()
    STAGES["train-translator"].run(inputs, CYCLEGAN, stopped)
    names = ("translator.pt", "translator.json")
    first, second = (
        [(where.folder / name).read_bytes() for name in names] for where in (straight, stopped)
    )
    assert first == second


def test_images_are_kept_in_one_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    volumes = [rng.normal(size=shape).astype(np.float32) for shape in ((2, 3, 4), (1, 5, 6))]
    slices = stored_images(iter(volumes), tmp_path / "a.raw", axes=2)
    assert [one.shape for one in slices] == [(3, 4), (3, 4), (5, 6)]
    np.testing.assert_array_equal(slices[1], volumes[0][1])
    again = stored_images(iter(()), tmp_path / "a.raw", axes=3)
    np.testing.assert_array_equal(again[1], volumes[1])


def test_only_labeled_slices_of_the_source_are_looked_at(
    tmp_path: Path, ct: RecipeCase, mr: RecipeCase
) -> None:
    _trained(tmp_path / "train", ct, mr, CYCLEGAN)
    listed = [
        json.loads((tmp_path / "train" / "work" / f"{domain}.json").read_text(encoding="utf-8"))
        for domain in ("source", "target")
    ]
    # The liver has radius 4 about slice 10.
    assert listed == [[[9, *SHAPE[1:]]], [list(SHAPE)]]
