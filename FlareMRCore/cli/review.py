"""Verb `review`: lists pseudo-labels by doubt, and notes what people decide about them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from FlareMRCore.cli.console import JobReporter, format_table, job_reporter, write_line
from FlareMRCore.cli.options import add_store_argument
from FlareMRCore.data.dataset import DOMAINS, MODALITIES
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.review import decide, review_queue
from FlareMRCore.pipeline.review_decisions import ACCEPT, CORRECT, REJECT, UNDO
from FlareMRCore.pipeline.review_subjects import (
    default_stage,
    find_run,
    reviewable_stages,
    subject_of,
)
from FlareMRCore.pipeline.run_reading import RunReading
from FlareMRCore.pipeline.training_case import NewCase, add_training_case
from FlareMRCore.progress import Reporter

DECISIONS = {
    ACCEPT: "note that a pseudo-label is right",
    REJECT: "note that a pseudo-label must not be trained on",
    CORRECT: "replace a pseudo-label by a corrected label map",
    UNDO: "take back the last decision about a case",
}
SHOWN_REASONS = 3

Queue = Mapping[str, Any]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its steps."""
    parser = subparsers.add_parser(
        "review",
        help="accept, reject or correct pseudo-labels",
        description="Decisions are kept in the store beside the pseudo-labels. The stage "
        "'apply-review' honors them when the recipe is run again; only what depends on a "
        "changed decision is made again.",
    )
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    _add_place(steps.add_parser("list", help="pseudo-labels of a run, the most doubtful first"))
    for kind, text in DECISIONS.items():
        step = steps.add_parser(kind, help=text)
        step.add_argument("case", metavar="CASE", help="its id in 'review list'")
        if kind == CORRECT:
            step.add_argument(
                "--labels", type=Path, required=True, metavar="FILE", help="the right label map"
            )
        step.add_argument("--by", default="", metavar="NAME", help="default: name of the user")
        step.add_argument("--note", default="", metavar="TEXT", help="why")
        _add_place(step)
    _add_adding(steps.add_parser("add", help="add a corrected image to a data set as a case"))


def _add_place(parser: argparse.ArgumentParser) -> None:
    add_store_argument(parser)
    parser.add_argument(
        "--run", type=Path, metavar="FOLDER", help="folder of the run; default: the newest"
    )
    parser.add_argument(
        "--stage", default="", metavar="ID", help="default: what the recipe's last review takes"
    )


def _add_adding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, metavar="IMAGE", help="image of the new case")
    parser.add_argument("labels", type=Path, metavar="LABELS", help="on the grid of the image")
    parser.add_argument(
        "--dataset", type=Path, required=True, metavar="JSON", help="manifest, made if missing"
    )
    parser.add_argument("--case", default="", metavar="ID", help="default: name of the image")
    parser.add_argument("--patient", default="", metavar="ID", help="default: that of the case")
    parser.add_argument("--sequence", default="image", metavar="NAME", help="e.g. t2_fs")
    parser.add_argument("--modality", choices=MODALITIES, default="MR", help="default: MR")
    parser.add_argument("--domain", choices=DOMAINS, default="target", help="default: target")


def run(arguments: argparse.Namespace) -> int:
    """Do the step; 0.

    Raises:
        FlareMRError: see `FlareMRCore.pipeline.review` and `add_training_case`.
    """
    reporter = job_reporter(arguments)
    if arguments.step == "add":
        _add(arguments, reporter)
        return 0
    found = find_run(ArtifactStore(arguments.store), arguments.run)
    if arguments.step == "list":
        _list(arguments, found, reporter)
    else:
        _decide(arguments, found, reporter)
    return 0


def _queue(arguments: argparse.Namespace, found: RunReading, reporter: Reporter) -> Queue:
    """The queue as JSON values; empty while the run has made no pseudo-labels."""
    stages = reviewable_stages(found)
    stage_id, items = arguments.stage, []
    if stages or stage_id:
        stage_id = stage_id or default_stage(found)
        items = [item.as_dict() for item in review_queue(found, reporter, stage_id)]
    return {"run": found.folder, "stage": stage_id, "stages": stages, "items": items}


def _list(arguments: argparse.Namespace, found: RunReading, reporter: JobReporter) -> None:
    queue = _queue(arguments, found, reporter)
    reporter.result(queue)
    if arguments.json_progress:
        return
    if not queue["stages"]:
        write_line(f"{found.folder} has made no pseudo-labels yet.")
        return
    write_line(f"Stage '{queue['stage']}' of {found.folder}")
    rows = [
        [item["case"], f"{item['doubt']:.2f}", _decision_text(item["decision"]), _reasons(item)]
        for item in queue["items"]
    ]
    write_line(format_table(("case", "doubt", "decision", "look at"), rows))


def _decide(arguments: argparse.Namespace, found: RunReading, reporter: JobReporter) -> None:
    subject = subject_of(found, arguments.case, arguments.stage)
    entry, warning = decide(
        ArtifactStore(found.store),
        subject,
        arguments.step,
        by=arguments.by,
        note=arguments.note,
        corrected=getattr(arguments, "labels", None),
    )
    if warning:
        reporter.message(warning, level="warning")
    if not arguments.json_progress:
        write_line(f"{arguments.case}: {arguments.step} by {entry.decision.by}")
        return
    # Programs show the queue next: they are told without another process.
    told = {"case": arguments.case, "decision": arguments.step, "file": entry.file.path}
    reporter.result({**told, **_queue(arguments, found, reporter)})


def _add(arguments: argparse.Namespace, reporter: JobReporter) -> None:
    case = NewCase(
        case_id=arguments.case,
        patient_id=arguments.patient,
        sequence=arguments.sequence,
        modality=arguments.modality,
        domain=arguments.domain,
    )
    added, warnings = add_training_case(arguments.dataset, arguments.image, arguments.labels, case)
    for warning in warnings:
        reporter.message(warning, level="warning")
    reporter.result({"case": added.case_id, "dataset": arguments.dataset})
    if not arguments.json_progress:
        write_line(f"{added.case_id} is now a case of {arguments.dataset}")


def _decision_text(decision: Mapping[str, Any] | None) -> str:
    return f"{decision['kind']} by {decision['by']}" if decision else "-"


def _reasons(item: Mapping[str, Any]) -> str:
    found = [f"{o['rule']}/{o['organ']}" for o in item["objections"]]
    more = f", {len(found) - SHOWN_REASONS} more" if len(found) > SHOWN_REASONS else ""
    return ", ".join(found[:SHOWN_REASONS]) + more
