"""Arguments that several verbs share, and wrong input that every verb refuses in words."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from FlareMRCore.cli.main import VERBS, main
from FlareMRCore.cli.options import COMMON, add_common_arguments, natural, organ_names, positive
from FlareMRCore.errors import UsageError
from FlareMRCore.events import parse_event


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and all below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for step in action.choices.values():
                yield from parsers(step)


@pytest.mark.parametrize("verb", VERBS)
def test_every_step_of_every_verb_is_explained(verb: str) -> None:
    parser = argparse.ArgumentParser()
    import_module(f"FlareMRCore.cli.{verb}").add_parser(parser.add_subparsers())
    (_, found, *steps) = parsers(parser)
    add_common_arguments(found)
    for one in (found, *steps):
        assert set(COMMON) <= {o for action in one._actions for o in action.option_strings}
        silent = [a.dest for a in one._actions if not a.help and a.dest not in ("step", "action")]
        assert not silent, one.prog


@pytest.mark.parametrize("words", [["--json-progress", "list"], ["list", "--json-progress"]])
def test_json_is_asked_for_before_or_behind_the_step(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", *words, "--store", str(tmp_path)]) == 3
    event = parse_event(capsys.readouterr().out)
    assert event is not None
    assert event["code"] == "review.no-labels"


def test_numbers_are_whole() -> None:
    assert (positive("3"), natural("0")) == (3, 0)
    for text in ("0", "-1", "two", "1.5"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"from 1, found '{text}'"):
            positive(text)
    with pytest.raises(argparse.ArgumentTypeError, match="from 0"):
        natural("-1")


def test_organs_are_named_or_left_out() -> None:
    assert organ_names(None) == ()
    assert organ_names("liver, left kidney,") == ("liver", "left kidney")
    for text in ("", ",", " , "):
        with pytest.raises(UsageError, match="names no organ"):
            organ_names(text)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("segment a.nii.gz -o b.nii.gz --tta two", 2, "whole number from 1, found 'two'. Add"),
        ("segment a.nii.gz -o b.nii.gz --organs ,", 2, "names no organ"),
        ("demo -o file.txt", 2, "cannot be a folder: a file has that name"),
        ("phantom -o p.nii.gz --noise -1", 2, "--noise takes a number from 0; found -1.0"),
        ("recipe run li2024 --store file.txt", 2, "'file.txt/runs' cannot be a folder"),
        ("recipe stop missing", 3, "The run 'missing' cannot be read"),
        ("recipe show bad.toml", 2, "'bad.toml' is not TOML (Invalid value"),
        ("train pack missing.toml --data . --spacing 4 -o p", 3, "cannot be read (No such file"),
        ("evaluate --reference empty --prediction empty", 3, "holds no label maps (.nii.gz"),
        ("weights import missing.zip", 4, "There is no file or folder 'missing.zip'. Check"),
        ("weights export missing m.zip", 4, "or the path of a folder or .zip archive"),
    ],
)
def test_errors_say_what_was_found_and_what_to_do(
    words: str,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.txt").write_text("x", encoding="utf-8")
    Path("a.nii.gz").write_text("x", encoding="utf-8")
    Path("bad.toml").write_text("name = ", encoding="utf-8")
    Path("empty").mkdir()
    assert main(words.split()) == code
    error = capsys.readouterr().err
    assert said in error
    assert "[Errno" not in error
    assert "Traceback" not in error


def test_a_store_without_runs_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", "runs", "--store", str(tmp_path)]) == 0
    assert "has no runs" in capsys.readouterr().out
