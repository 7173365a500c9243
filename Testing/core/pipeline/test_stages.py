"""The contract of every stage, and golden results that change only with the stage's version.

After a change that is meant, raise the version of the stage in STAGES, then write the new results
with ``FLAREMR_WRITE_GOLDEN=1 pytest`` on this file.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from FlareMRCore.data.label_io import read_label_map, write_label_map
from FlareMRCore.data.labels import organ_table, structure_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import read_volume, write_volume
from FlareMRCore.errors import Cancelled, DatasetError, InputError, RecipeError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.artifacts import Artifact
from FlareMRCore.pipeline.filter_report import read_filter_report
from FlareMRCore.pipeline.recipe import Recipe, StageSpec
from FlareMRCore.pipeline.runner import RunOptions, run_recipe
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_images import (
    KeepLargestParameters,
)
from FlareMRCore.pipeline.stages_results import EvaluateParameters, SegmentParameters
from FlareMRCore.pipeline.stages_review import REVIEW_NAME
from FlareMRCore.pipeline.stages_training import PackParameters
from FlareMRCore.progress import SilentReporter

sys.path.insert(0, str(Path(__file__).parent))
from stage_specs import LABEL_SPECS, PASSING_SPECS, SPECS, TRANSLATION_SPECS

GOLDEN = Path(__file__).parents[2] / "golden" / "stages.json"
WRITE = os.environ.get("FLAREMR_WRITE_GOLDEN") == "1"
RECIPE = Recipe("stages", "Stages", "All of them.", "paper", "paper", SPECS)
OPTIONS = RunOptions(device="cpu", threads=1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Two runs of all stages in two stores."""
    stores = [ArtifactStore(tmp_path_factory.mktemp(name)) for name in ("first", "second")]
    results = [run_recipe(RECIPE, None, s, SilentReporter(), OPTIONS) for s in stores]
    return results[0].outcomes, results[1].outcomes


def test_every_stage_is_tried() -> None:
    assert {spec.use for spec in SPECS} == set(STAGES)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.id)
def test_keys_and_contents_are_the_same_in_every_store(
    spec: StageSpec, runs: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> None:
    first, second = (run[spec.id].artifacts for run in runs)
    assert [(a.key, a.digest) for a in first] == [(a.key, a.digest) for a in second]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.id)
def test_results_change_only_with_the_version(
    spec: StageSpec, runs: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> None:
    artifact = runs[0][spec.id].artifacts[0]
    found = {
        "version": STAGES[spec.use].version,
        "parameters": artifact.record["parameters"],
        "files": sorted(artifact.record["outputs"]),
        "summary": SUMMARIES[spec.id](artifact),
    }
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    if WRITE:
        GOLDEN.write_text(json.dumps({**golden, spec.id: found}, indent=1) + "\n", encoding="utf-8")
        return
    expected = golden[spec.id]
    hint = f"behavior of '{spec.use}' changed: raise its version in STAGES, then rewrite the golden"
    assert found["version"] == expected["version"], "version raised: rewrite the golden results"
    assert found["parameters"] == expected["parameters"], "keys changed: rewrite the golden results"
    assert found["files"] == expected["files"], hint
    assert found["summary"] == pytest.approx(expected["summary"], rel=1e-3, abs=1e-3), hint


def _image_summary(artifact: Artifact) -> dict[str, float]:
    """Mean of each image and voxels of each label map."""
    found: dict[str, float] = {}
    for path in sorted(artifact.folder.rglob("*.nii.gz")):
        name = path.relative_to(artifact.folder).as_posix()
        if path.name == "labels.nii.gz":
            array = read_label_map(path, structure_table()).array
            found[name] = float((array * np.arange(1, array.size + 1).reshape(array.shape)).sum())
        else:
            found[name] = float(read_volume(path).array.mean())
    return found


def _pack_summary(artifact: Artifact) -> dict[str, float]:
    with np.load(next(artifact.folder.glob("*.npz"))) as content:
        return {
            name: float(content[name].astype(np.float64).mean())
            for name in ("image", "tissues", "labels", "allowed")
        }


def _training_summary(artifact: Artifact) -> dict[str, float]:
    text = (artifact.folder / "notes" / "curve.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    return {f"loss{row['step']}": round(float(row["loss"]), 2) for row in rows}


def _model_summary(artifact: Artifact) -> dict[str, float]:
    (entry,) = json.loads((artifact.folder / "weights.json").read_text(encoding="utf-8"))["weights"]
    return {"spacing_mm": entry["coarse"]["spacing_mm"][0], "files": len(entry["files"])}


def _score_summary(artifact: Artifact) -> dict[str, float]:
    summary = json.loads((artifact.folder / "summary.json").read_text(encoding="utf-8"))
    return {mode: float(content["cases"]) for mode, content in summary.items()}


def _review_summary(artifact: Artifact) -> dict[str, float]:
    applied = json.loads((artifact.folder / REVIEW_NAME).read_text(encoding="utf-8"))["applied"]
    return {"cases": len(artifact.record["cases"]), "pseudo-labels": len(applied)}


def _filter_summary(artifact: Artifact) -> dict[str, float]:
    report = read_filter_report(artifact.folder)
    findings = [finding for line in report.cases for finding in line.findings]
    measured = sum(f.measured for f in findings if f.measured is not None)
    return {"cases": len(report.cases), "kept": report.kept, "measured": measured}


def _segment_summary(artifact: Artifact) -> dict[str, float]:
    # Two steps of training say nothing about organs; only the grid is worth comparing.
    return {"voxels": float(read_label_map(artifact.folder / "labels.nii.gz").array.size)}


def _content(artifact: Artifact, name: str) -> dict[str, Any]:
    return dict(json.loads((artifact.folder / name).read_text(encoding="utf-8")))


def _voxels(artifact: Artifact, name: str) -> float:
    # One step of training says nothing about gray values.
    return float(read_volume(artifact.folder / name).array.size)


def _translator_summary(artifact: Artifact) -> dict[str, float]:
    return {"width": _content(artifact, "translator.json")["training"]["width"]}


SUMMARIES: Mapping[str, Callable[[Artifact], dict[str, float]]] = {
    "cohort": _image_summary,
    "resample": _image_summary,
    "keep-largest": _image_summary,
    "pack": _pack_summary,
    "train": _training_summary,
    "export-weights": _model_summary,
    "segment": _segment_summary,
    "apply-review": _review_summary,
    "evaluate": _score_summary,
    **{spec.id: _image_summary for spec in LABEL_SPECS + PASSING_SPECS},
    **{spec.id: _image_summary for spec in TRANSLATION_SPECS},
    "train-translator": _translator_summary,
    "collect-styles": lambda artifact: {"styles": len(_content(artifact, "styles.json"))},
    "translate-style": lambda artifact: {"voxels": _voxels(artifact, "fake.nii.gz")},
    **{spec.id: _filter_summary for spec in LABEL_SPECS if spec.id.startswith("filter-")},
    "confidence-mask": _segment_summary,
    "unflip": lambda artifact: {"cases": len(artifact.record["cases"])},
    "train-pools": _training_summary,
    "export-nnunet": _image_summary,
    "select-long": lambda artifact: {"cases": len(artifact.record["cases"])},
}


@pytest.mark.parametrize("spec", [SPECS[n] for n in (1, 3, 6)], ids=["resample", "pack", "segment"])
def test_an_interrupted_stage_leaves_no_artifact(
    spec: StageSpec, runs: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> None:
    stage = STAGES[spec.use]

    def stopped(inputs: Any, parameters: Any, context: Any) -> Any:
        stage.run(inputs, parameters, context)
        raise Cancelled

    # The store of the second run has all that comes before; the stage itself is made anew.
    store = ArtifactStore(runs[1][spec.id].artifacts[0].folder.parents[2])
    stages = {**STAGES, spec.use: replace(stage, version=99, run=stopped)}
    upto = SPECS[: SPECS.index(spec) + 1]
    before = store.all_keys()
    with pytest.raises(Cancelled):
        run_recipe(
            replace(RECIPE, stages=upto),
            None,
            store,
            SilentReporter(),
            replace(OPTIONS, stages=stages),
        )
    assert list((store.root / "tmp").iterdir()) == []
    assert store.all_keys() == before


def test_the_cohort_has_hidden_truth_and_unlabeled_mr(
    runs: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> None:
    ct, unlabeled, test = runs[0]["cohort"].cases
    assert (ct.domain, ct.modality, ct.parts) == ("source", "CT", ("default/train",))
    assert (unlabeled.domain, unlabeled.label_map) == ("target", None)
    assert (test.domain, test.parts, list(test.images)) == ("target", ("default/test",), ["venous"])
    assert test.label_map is not None
    assert len({case.patient_id for case in (ct, unlabeled, test)}) == 3


def test_resampled_labels_lie_on_the_grid_of_the_image(
    runs: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> None:
    case = runs[0]["resample"].cases[0]
    assert case.label_map is not None
    image, labels = read_volume(case.image.path), read_label_map(case.label_map.path)
    assert image.geometry.coincides(labels.geometry)
    assert image.geometry.spacing_mm == pytest.approx((20.0, 16.0, 12.0), rel=0.1)
    assert set(np.unique(labels.array)) & {1, 3}


def test_predictions_keep_the_image_and_replace_the_labels(
    runs: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> None:
    (predicted,) = runs[0]["segment"].cases
    truth = next(c for c in runs[0]["cohort"].cases if c.case_id == predicted.case_id)
    assert predicted.image == truth.image
    assert predicted.label_source == "predicted"
    assert predicted.label_map is not None
    assert truth.label_map is not None
    shapes = [read_label_map(f.path).array.shape for f in (predicted.label_map, truth.label_map)]
    assert shapes[0] == shapes[1]


def test_only_the_largest_piece_is_kept(tmp_path: Path, oblique_volume: Volume) -> None:
    array = np.zeros(oblique_volume.geometry.shape, dtype=np.uint8)
    array[0, 0, :3] = 1
    array[4, 6, 8] = 1
    array[2, 3, 4] = 3
    array[4, 0, 0] = 3
    cohort = _case_files(tmp_path, oblique_volume, array)
    outcome = STAGES["keep-largest"].run(
        cohort, KeepLargestParameters(("liver",)), _context(tmp_path)
    )
    kept = read_label_map(outcome[0].label_map.path).array  # type: ignore[union-attr]
    assert kept[0, 0, :3].tolist() == [1, 1, 1]
    assert kept[4, 6, 8] == 0
    assert (kept == 3).sum() == 2


def _case_files(folder: Path, volume: Volume, labels: np.ndarray[Any, Any]) -> Any:
    from FlareMRCore.pipeline.recipe_cases import DataFile, RecipeCase
    from FlareMRCore.pipeline.stage import StageInputs

    write_volume(folder / "image.nii.gz", volume)
    label_map = LabelMap(labels, volume.geometry, organ_table())
    write_label_map(folder / "truth.nii.gz", label_map)
    case = RecipeCase(
        "c",
        "p",
        "target",
        "MR",
        {"t1": DataFile(folder / "image.nii.gz", "a")},
        DataFile(folder / "truth.nii.gz", "b"),
        "manual",
    )
    return StageInputs({"cases": (case,), "predictions": (case,), "references": ()})


def _context(folder: Path) -> Any:
    from FlareMRCore.pipeline.stage import StageContext

    (folder / "out").mkdir()
    return StageContext(folder / "out", folder, SilentReporter())


def test_no_training_sees_manual_labels_of_the_target(
    tmp_path: Path, oblique_volume: Volume
) -> None:
    labels = np.ones(oblique_volume.geometry.shape, dtype=np.uint8)
    inputs = _case_files(tmp_path, oblique_volume, labels)
    with pytest.raises(DatasetError, match="no training may see"):
        STAGES["pack"].run(inputs, PackParameters(4.0), _context(tmp_path))


def test_what_cannot_be_done_is_said(tmp_path: Path, oblique_volume: Volume) -> None:
    labels = np.ones(oblique_volume.geometry.shape, dtype=np.uint8)
    inputs = _case_files(tmp_path, oblique_volume, labels)
    context = _context(tmp_path)
    with pytest.raises(InputError, match="Without reference or prediction: c"):
        STAGES["evaluate"].run(inputs, EvaluateParameters(), context)
    with pytest.raises(RecipeError, match="neither an input 'model' nor 'weights'"):
        STAGES["segment"].run(inputs, SegmentParameters(), context)
    with pytest.raises(RecipeError, match="no list of groups 'none'"):
        STAGES["pack"].run(inputs, PackParameters(4.0, ("none",)), context)
    with pytest.raises(DatasetError, match="none was given"):
        STAGES["pack"].run(
            replace(inputs, cases={}), PackParameters(4.0, ("public-data",)), context
        )
    with pytest.raises(DatasetError, match="nothing to pack"):
        STAGES["pack"].run(replace(inputs, cases={}), PackParameters(4.0), context)
