"""DependencyInstaller: rows out of a diagnosis, one question before anything is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from FlareMRSegLib.DependencyInstaller import (
    COMPONENTS,
    GPU,
    MISSING,
    OK,
    REGISTRATION,
    TORCH,
    WARNING,
    WEIGHTS,
    DependencyInstaller,
    statusRows,
)
from FlareMRSegLib.JobRunner import JobRunner

from FlareMRCore.pipeline.doctor import torch_problem

CARD = "NVIDIA Test, 555.1, 8 GB"


def diagnosis(**changes: Any) -> dict[str, Any]:
    """What `doctor` reports on a computer where all is well, with changes."""
    torch = {"graphics card": "no NVIDIA card found", "torch": "2.6.0, CUDA not built in"}
    facts: dict[str, Any] = {
        "versions": {"connected-components-3d": "4.1.1"},
        "torch": torch,
        "weights": {"folder": "somewhere", "first": "1, bundled"},
    }
    problems = changes.pop("problems", [])
    return {"sections": {**facts, **changes}, "problems": problems}


def rows(found: dict[str, Any]) -> dict[str, Any]:
    return {row.id: row for row in statusRows(found)}


def test_all_is_well_without_a_graphics_card() -> None:
    found = rows(diagnosis())
    assert found[TORCH].state == OK
    assert "2.6.0" in found[TORCH].text
    assert found[GPU].state == OK
    assert "processor" in found[GPU].text
    assert found[WEIGHTS].state == OK
    assert found[COMPONENTS].state == OK
    assert found[REGISTRATION].isOptional


def test_a_card_that_torch_cannot_use_is_said_in_words() -> None:
    problem = torch_problem(None, False, CARD)
    found = rows(diagnosis(problems=[problem]))[GPU]
    assert found.state == WARNING
    assert "without CUDA" in found.text
    assert found.canInstall


def test_missing_torch() -> None:
    problem = "torch cannot be imported (ModuleNotFoundError: No module named 'torch')."
    found = rows(diagnosis(torch={"torch": "cannot be imported"}, problems=[problem]))[TORCH]
    assert (found.state, found.text, found.canInstall) == (MISSING, problem, True)


def test_missing_weights_and_packages() -> None:
    problem = "The default weights 'first' are missing: run 'weights fetch'."
    versions = {"connected-components-3d": "not installed"}
    found = rows(diagnosis(versions=versions, problems=[problem]))
    assert (found[WEIGHTS].state, found[WEIGHTS].text) == (MISSING, problem)
    assert (found[COMPONENTS].state, found[COMPONENTS].canInstall) == (MISSING, True)


class Recorder:
    """Stand-ins for the user, pip and the PyTorch extension, and what they were asked."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.questions: list[str] = []
        self.installed: list[str] = []
        self.torch: list[dict[str, Any]] = []

    def ask(self, text: str) -> bool:
        self.questions.append(text)
        return self.answer

    def installTorch(self, **given: Any) -> str:  # noqa: N802 - the extension's name
        self.torch.append(given)
        return "torch"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[JobRunner]:
    runner = JobRunner(folderRoot=tmp_path)
    yield runner
    runner.close()


def installer(runner: JobRunner, recorder: Recorder, *, extension: bool) -> DependencyInstaller:
    return DependencyInstaller(
        runner,
        recorder.ask,
        installPackage=recorder.installed.append,
        torchLogic=lambda: recorder if extension else None,
        installExtension=lambda name: recorder.installed.append(name) is None,
    )


@pytest.mark.parametrize("row", [TORCH, GPU, COMPONENTS, REGISTRATION])
def test_no_means_that_nothing_is_installed(runner: JobRunner, row: str) -> None:
    for extension in (True, False):
        recorder = Recorder(answer=False)
        assert not installer(runner, recorder, extension=extension).install(row)
        assert len(recorder.questions) == 1
        assert (recorder.installed, recorder.torch) == ([], [])


def test_torch_comes_from_its_extension_after_one_question(runner: JobRunner) -> None:
    recorder = Recorder(answer=True)
    assert installer(runner, recorder, extension=True).install(TORCH)
    assert len(recorder.questions) == 1
    (given,) = recorder.torch
    assert given["askConfirmation"] is False
    assert "2.9" in given["torchVersionRequirement"]
    assert recorder.installed == []


def test_the_extension_is_offered_where_it_is_missing(runner: JobRunner) -> None:
    recorder = Recorder(answer=True)
    assert installer(runner, recorder, extension=False).install(TORCH)
    assert "PyTorch" in recorder.questions[0]
    assert recorder.installed == ["PyTorch"]


def test_a_package_is_named_in_the_question(runner: JobRunner) -> None:
    recorder = Recorder(answer=True)
    assert installer(runner, recorder, extension=True).install(COMPONENTS)
    assert recorder.installed[0] in recorder.questions[0]


def test_looking_is_done_by_a_child(runner: JobRunner) -> None:
    made = installer(runner, Recorder(answer=False), extension=True)
    assert made.rows == ()
    assert not made.isReady()
    assert made.reportText() == ""
    heard: list[Any] = []
    made.refreshed.connect(heard.append)
    made.refresh()
    made.refresh()  # a second look while the first one runs is the same look
    runner.wait(None, 120)
    assert len(heard) == 1
    assert {row.id for row in made.rows} == {TORCH, GPU, WEIGHTS, COMPONENTS, REGISTRATION}
    assert "[torch]" in made.reportText()
    assert "[problems]" in made.reportText()
    made.close()
