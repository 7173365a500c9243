"""Stages that apply a model and that score what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from FlareMRCore.data.atomic_file import write_json_atomically, write_text_atomically
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.labels import organ_table, structure_table
from FlareMRCore.data.volume_io import read_with_warnings, write_volume
from FlareMRCore.errors import InputError, RecipeError
from FlareMRCore.imaging.metrics import MODES, Mode
from FlareMRCore.imaging.score_summary import summarize
from FlareMRCore.pipeline.artifacts import NOTES
from FlareMRCore.pipeline.case_labels import CONFIDENCE, LABELS_NAME
from FlareMRCore.pipeline.evaluation import Pair, evaluate, evaluation_csv
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import (
    CASE,
    CASES,
    MODEL,
    SCORES,
    Slot,
    Stage,
    StageContext,
    StageInputs,
    Surroundings,
)
from FlareMRCore.weights.store import WeightsStore

if TYPE_CHECKING:
    from FlareMRCore.inference.segmentation import SegmentOptions

CONFIDENCE_NAME = f"{CONFIDENCE}.nii.gz"
SCORES_NAME = "scores.csv"
SUMMARY_NAME = "summary.json"


@dataclass(frozen=True, slots=True)
class SegmentParameters:
    """How cases are segmented; see `SegmentOptions`.

    Attributes:
        weights: identifier or path of weights; empty to use the input ``model``.
        half_precision: off, so that every computer gives the same labels.
        confidence: also write the probability of each voxel's label, as image ``"confidence"``
            of the case; ``confidence-mask`` needs it.
    """

    weights: str = ""
    mode: str = "standard"
    tta: int | None = None
    keep_largest: bool = True
    anatomy_rules: bool = False
    anatomy_min_extent_mm: float = 0.0
    overlap: Literal["adaptive", "adaptive-i", "half"] = "adaptive"
    allow_ct: bool = False
    half_precision: bool = False
    confidence: bool = False


@dataclass(frozen=True, slots=True)
class EvaluateParameters:
    """Conventions of the scores, and organs or "tumor"; empty for all organs."""

    modes: tuple[Mode, ...] = MODES
    organs: tuple[str, ...] = ()


def segment_case(
    inputs: StageInputs, parameters: SegmentParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The case with predicted labels of all organs; the engine's report is a note.

    Raises:
        FlareMRError: see `FlareMRCore.inference.segmentation.segment`.
    """
    from FlareMRCore.inference.segmentation import load_model, segment

    case = inputs.case()
    folder = inputs.folder("model")
    entry, found = WeightsStore().resolve(str(folder) if folder else _weights(parameters))
    model = load_model(entry, found, device=context.device)
    read = read_with_warnings(case.image.path)
    result = segment(read.volume, model, _options(parameters, context), context.reporter)
    write_label_map(context.folder / LABELS_NAME, result.label_map, like=read.grid)
    (context.folder / NOTES).mkdir()
    write_json_atomically(context.folder / NOTES / "report.json", result.report.as_dict())
    images = {name: file for name, file in case.images.items() if name != CONFIDENCE}
    if result.confidence is not None:
        write_volume(context.folder / CONFIDENCE_NAME, result.confidence, like=read.grid)
        images[CONFIDENCE] = context.own_file(CONFIDENCE_NAME)
    changed = replace(
        case,
        images=images,
        label_map=context.own_file(LABELS_NAME),
        label_source="predicted",
        annotated=tuple(label.id for label in result.label_map.labels),
    )
    return (changed,)


def _options(parameters: SegmentParameters, context: StageContext) -> SegmentOptions:
    from FlareMRCore.inference.segmentation import SegmentOptions

    return SegmentOptions(
        mode=parameters.mode,
        tta=parameters.tta,
        threads=context.threads,
        keep_largest=parameters.keep_largest,
        anatomy_rules=parameters.anatomy_rules,
        anatomy_min_extent_mm=parameters.anatomy_min_extent_mm,
        overlap=parameters.overlap,
        allow_ct=parameters.allow_ct,
        confidence_map=parameters.confidence,
        half_precision=parameters.half_precision,
    )


def weights_digests(parameters: SegmentParameters, surroundings: Surroundings) -> Mapping[str, str]:
    """Hashes of the installed weights, if the stage uses any."""
    if not parameters.weights:
        return {}
    entry, _ = WeightsStore().resolve(parameters.weights)
    return {f"weights:{file.name}": file.sha256 for file in entry.files}


def _weights(parameters: SegmentParameters) -> str:
    if parameters.weights:
        return parameters.weights
    raise RecipeError(
        "A stage 'segment' has neither an input 'model' nor 'weights'.",
        code="recipe.no-model",
        hint="Give it one of them.",
    )


def evaluate_cases(
    inputs: StageInputs, parameters: EvaluateParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """scores.csv with a line for each case, convention and organ, and summary.json with means.

    Raises:
        InputError: a case has no reference or no prediction, or they cannot be compared.
    """
    pairs = _pairs(inputs)
    organs = parameters.organs
    table = structure_table().subset(organs) if organs else organ_table()
    evaluation = evaluate(pairs, table, context.reporter, modes=parameters.modes)
    if evaluation.errors:
        lines = "".join(f"\n  - {c}: {e['message']}" for c, e in evaluation.errors.items())
        raise InputError(f"Some cases cannot be scored:{lines}", code="recipe.scores")
    write_text_atomically(context.folder / SCORES_NAME, evaluation_csv(evaluation))
    summary = {mode: asdict(summarize(evaluation.of_mode(mode))) for mode in parameters.modes}
    write_json_atomically(context.folder / SUMMARY_NAME, summary)
    return ()


def _pairs(inputs: StageInputs) -> tuple[Pair, ...]:
    references = {case.case_id: case.label_map for case in inputs.cases["references"]}
    pairs, missing = [], []
    for case in inputs.cases["predictions"]:
        reference = references.get(case.case_id)
        if case.label_map is None or reference is None:
            missing.append(case.case_id)
        else:
            pairs.append(Pair(case.case_id, reference.path, case.label_map.path))
    if missing or not pairs:
        raise InputError(
            f"Without reference or prediction: {', '.join(missing) or 'all cases'}.",
            code="recipe.unmatched",
            hint="Cases belong together by their id.",
        )
    return tuple(pairs)


RESULT_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "segment": Stage(
            1,
            SegmentParameters,
            segment_case,
            CASES,
            {"cases": Slot(CASES), "model": Slot(MODEL, required=False)},
            CASE,
            external=weights_digests,
        ),
        "evaluate": Stage(
            1,
            EvaluateParameters,
            evaluate_cases,
            SCORES,
            {"predictions": Slot(CASES), "references": Slot(CASES)},
        ),
    }
)
"""Joined to STAGES."""
