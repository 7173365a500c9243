"""Scores of predicted against reference label maps, for one case or for two folders."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.labels import LabelTable, structure_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import IMAGE_SUFFIXES
from FlareMRCore.errors import FlareMRError, InputError
from FlareMRCore.events import error_fields, json_values
from FlareMRCore.imaging.metrics import MODES, Mode, OrganScore, score_case
from FlareMRCore.imaging.score_summary import summarize
from FlareMRCore.pipeline.segment_case import case_name
from FlareMRCore.progress import Reporter


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference and the prediction that belongs to it."""

    case: str
    reference: Path
    prediction: Path


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of all cases in all metric modes, and the errors of cases that have none.

    Attributes:
        pairs: what was compared.
        scores: by case, all organs in each metric mode.
        errors: by case, the fields of an error event.
    """

    pairs: tuple[Pair, ...]
    scores: Mapping[str, tuple[OrganScore, ...]]
    errors: Mapping[str, Mapping[str, Any]]

    def of_mode(self, mode: Mode) -> list[tuple[OrganScore, ...]]:
        """Scores of one metric mode, a tuple for each case that has any."""
        return [tuple(s for s in scores if s.mode == mode) for scores in self.scores.values()]


def match_pairs(
    reference: Path, prediction: Path, *, reference_ending: str = "", prediction_ending: str = ""
) -> tuple[Pair, ...]:
    """Two files, or the files of two folders that have the same stem.

    Args:
        reference: label map, or folder of label maps.
        prediction: label map, or folder of label maps.
        reference_ending: taken off the stems of the references, e.g. ``"_label"``.
        prediction_ending: taken off the stems of the predictions.

    Raises:
        InputError: nothing matches, or a reference has no prediction.
    """
    references = _label_files(reference, reference_ending)
    predictions = _label_files(prediction, prediction_ending)
    if reference.is_file() and prediction.is_file():
        return (Pair(case_name(reference), reference, prediction),)
    if not references:
        wanted = ", ".join(f"{reference_ending}{suffix}" for suffix in IMAGE_SUFFIXES)
        raise InputError(
            f"The folder '{reference}' holds no label maps ({wanted}).",
            code="input.no-images",
            hint="Give a folder with label maps.",
        )
    missing = [case for case in references if case not in predictions]
    if missing:
        raise InputError(
            f"No prediction in '{prediction}' for {', '.join(missing)}; it has "
            f"{', '.join(predictions) or 'no label maps'}.",
            code="input.unmatched",
            hint="Files belong together if their names without suffix are equal; endings such as "
            "'_label' can be taken off with --reference-ending and --prediction-ending.",
        )
    return tuple(Pair(case, path, predictions[case]) for case, path in references.items())


def evaluate(
    pairs: Sequence[Pair],
    labels: LabelTable,
    reporter: Reporter,
    *,
    modes: tuple[Mode, ...] = MODES,
) -> Evaluation:
    """Scores of `labels` in all pairs; a pair that cannot be read does not stop the others."""
    scores: dict[str, tuple[OrganScore, ...]] = {}
    errors: dict[str, Mapping[str, Any]] = {}
    for number, pair in enumerate(pairs):
        reporter.advance("evaluate", number, len(pairs))
        try:
            reference = _restricted(read_label_map(pair.reference, structure_table()), labels)
            prediction = _restricted(read_label_map(pair.prediction, structure_table()), labels)
            scores[pair.case] = tuple(
                score for mode in modes for score in score_case(reference, prediction, mode=mode)
            )
        except InputError as error:
            errors[pair.case] = error_fields(error)
            reporter.message(f"{pair.case}: {error}", level="warning")
    reporter.advance("evaluate", len(pairs), len(pairs))
    return Evaluation(tuple(pairs), scores, errors)


def only_error(evaluation: Evaluation) -> FlareMRError | None:
    """The input error of an evaluation of a single pair; None if it has scores."""
    if len(evaluation.pairs) != 1 or not evaluation.errors:
        return None
    fields_ = next(iter(evaluation.errors.values()))
    return InputError(fields_["message"], code=fields_["code"], hint=fields_["hint"])


def evaluation_csv(evaluation: Evaluation) -> str:
    """Table with a line for each case, metric mode and organ; undefined scores are empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = [field.name for field in fields(OrganScore)]
    writer.writerow(["case", *names])
    for case, scores in evaluation.scores.items():
        for score in scores:
            row = json_values({**asdict(score), "flags": ";".join(score.flags)})
            writer.writerow([case, *("" if row[n] is None else row[n] for n in names)])
    return stream.getvalue()


def evaluation_json(evaluation: Evaluation) -> str:
    """Scores of each case, means over cases by metric mode, and errors, as JSON."""
    modes = {score.mode for scores in evaluation.scores.values() for score in scores}
    cases = [
        {
            "case": pair.case,
            "reference": pair.reference,
            "prediction": pair.prediction,
            "scores": [asdict(score) for score in evaluation.scores.get(pair.case, ())],
            "error": evaluation.errors.get(pair.case),
        }
        for pair in evaluation.pairs
    ]
    summary = {mode: asdict(summarize(evaluation.of_mode(mode))) for mode in MODES if mode in modes}
    content = json_values({"cases": _with_text(cases), "summary": summary})
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _with_text(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {key: str(value) if isinstance(value, Path) else value for key, value in case.items()}
        for case in cases
    ]


def _label_files(path: Path, ending: str) -> dict[str, Path]:
    """Label maps by case name."""
    if path.is_file():
        return {case_name(path): path}
    if not path.is_dir():
        raise InputError(
            f"There is no file or folder '{path}'.", code="input.missing", hint="Check the path."
        )
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        stem = case_name(file)
        is_image = file.name.lower().endswith(IMAGE_SUFFIXES) and not file.name.startswith(".")
        if not is_image or not stem.endswith(ending):
            continue
        case = stem.removesuffix(ending)
        if case in found:
            raise InputError(
                f"'{found[case]}' and '{file}' have the same stem.",
                code="input.ambiguous",
                hint="Keep one label map for each case.",
            )
        found[case] = file
    return found


def _restricted(label_map: LabelMap, labels: LabelTable) -> LabelMap:
    return LabelMap(label_map.array, label_map.geometry, labels)
