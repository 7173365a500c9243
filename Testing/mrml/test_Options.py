"""SegmentationOptions, Expectations, Progress and Signal: values and small pure logic."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import pytest
from FlareMRSegLib.Expectations import REFERENCE_VOXELS, Expectations
from FlareMRSegLib.Options import MODES, SegmentationOptions
from FlareMRSegLib.Progress import SHARES, JobProgress, stageTitle
from FlareMRSegLib.Signal import Signal

from FlareMRCore.cli import segment as segment_verb
from FlareMRCore.data.labels import organ_table
from FlareMRCore.inference.report import PHASES


def parse(words: list[str]) -> argparse.Namespace:
    """The words as the engine's command line understands them."""
    parser = argparse.ArgumentParser()
    segment_verb.add_parser(parser.add_subparsers())
    return parser.parse_args(["segment", "in.nrrd", "-o", "out.nrrd", *words])


@pytest.mark.parametrize("mode", MODES)
def test_the_engine_understands_every_option(mode: str) -> None:
    options = SegmentationOptions(
        mode=mode,
        device="cuda:1",
        weights="some-id",
        organs=("liver", "left_kidney"),
        tta=3,
        threads=2,
        allowCt=True,
    )
    found = parse(options.arguments())
    engine = segment_verb.engine_options(found)
    assert (engine.mode, engine.device, engine.weights) == (mode, "cuda:1", "some-id")
    assert (engine.organs, engine.tta, engine.threads) == (("liver", "left_kidney"), 3, 2)
    assert engine.allow_ct


def test_defaults_are_left_to_the_engine() -> None:
    engine = segment_verb.engine_options(parse(SegmentationOptions().arguments()))
    assert (engine.weights, engine.organs, engine.tta, engine.threads) == (None, (), None, None)
    assert not engine.allow_ct


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (SegmentationOptions(mode="slow"), "slow"),
        (SegmentationOptions(organs=()), "one organ"),
        (SegmentationOptions(organs=("liver", "tail")), "tail"),
        (SegmentationOptions(weights="no/such/model.zip"), "no/such/model.zip"),
        (SegmentationOptions(tta=-1), "views"),
        (SegmentationOptions(threads=-1), "threads"),
        (SegmentationOptions(smoothing=1.5), "smoothing"),
    ],
)
def test_what_is_wrong_is_said(options: SegmentationOptions, word: str) -> None:
    (problem,) = options.problems()
    assert word in problem
    assert problem.endswith(".")


def test_good_options_have_no_problems(tmp_path: Path) -> None:
    assert SegmentationOptions().problems() == ()
    assert SegmentationOptions(weights=str(tmp_path)).problems() == ()


def test_options_survive_json() -> None:
    options = SegmentationOptions(mode="fast", organs=("spleen",), smoothing=0.25, tta=2)
    assert SegmentationOptions.fromJson(options.toJson()) == options
    newer = json.dumps({"mode": "fast", "from the future": 1})
    assert SegmentationOptions.fromJson(newer) == SegmentationOptions(mode="fast")
    with pytest.raises(ValueError, match="JSON object"):
        SegmentationOptions.fromJson("[1]")


def test_wanted_organs_are_in_the_order_of_the_table() -> None:
    assert SegmentationOptions().wantedOrgans() == tuple(label.id for label in organ_table())
    options = SegmentationOptions(organs=("spleen", "liver"))
    assert options.wantedOrgans() == ("liver", "spleen")


def test_progress_never_goes_back_and_ends_at_one() -> None:
    progress = JobProgress()
    fractions = [progress.fraction(stage, done, 4) for stage in SHARES for done in (0, 2, 4, 1)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    assert sum(SHARES.values()) == pytest.approx(1.0)
    assert progress.fraction("download", 1, 4) == 0.25
    assert JobProgress().fraction("fine", 1, 0) < 1


def test_stages_of_the_engine_have_titles() -> None:
    for phase in set(SHARES) | (set(PHASES) & set(SHARES)):
        assert stageTitle(phase) != phase
    assert stageTitle("something new") == "something new"


def test_expectations_are_kept_and_scale_with_the_image() -> None:
    saved: list[str] = []
    expectations = Expectations(save=saved.append)
    guess = expectations.expect("standard", "cpu")
    assert not guess.isMeasured
    assert "not yet measured" in guess.text
    report = {"mode": "standard", "device": "cpu", "peak_memory_mb": 900.0}
    record = {"report": report, "shape": [100, 100, 100]}
    expectations.learn(record, 42.0)
    again = Expectations(load=lambda: saved[-1])
    measured = again.expect("standard", "cpu", 1_000_000)
    assert (measured.seconds, measured.memoryMb, measured.isMeasured) == (42.0, 900.0, True)
    assert again.expect("standard", "cpu", REFERENCE_VOXELS).seconds > 42.0
    assert not again.expect("standard", "cuda:0").isMeasured
    assert not Expectations(load=lambda: "{broken").expect("fast", "cpu").isMeasured


def test_a_failing_slot_is_logged_and_the_others_still_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[int] = []

    def fail(_value: int) -> None:
        raise ValueError("broken slot")

    signal = Signal("value")
    signal.connect(fail)
    signal.connect(heard.append)
    signal.connect(heard.append)
    with caplog.at_level(logging.ERROR):
        signal.emit(7)
    assert heard == [7], "connecting twice calls once"
    assert "broken slot" in caplog.text
    signal.disconnect(heard.append)
    signal.disconnectAll()
    signal.emit(8)
    assert heard == [7]
