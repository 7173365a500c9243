"""Drives the real widgets in a real Slicer, writes screenshots, ends with the number of failures.

    FLAREMR_PYTHON=/path/to/python Slicer --no-splash --testing \
        --additional-module-paths FlareMRSeg FlareMRTrain \
        --python-script Testing/slicer/run_in_slicer.py --output FOLDER [--only NAME]

FLAREMR_PYTHON names the program for child processes: one that has torch and the other packages of
the engine. Without it PythonSlicer is taken. NAME is a test class or method, e.g. `Batch` or
`Segment.test_cancel`; the option can be repeated. unittest is used because Slicer brings it.
"""

from __future__ import annotations

import argparse
import sys
import traceback
import unittest
from pathlib import Path

import slicer

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


class Output:
    """Slicer's own standard output is no file; unittest needs these two methods only."""

    def write(self, text: str) -> None:
        """Write a text."""
        sys.stdout.write(text)

    def flush(self) -> None:
        """Write what is held back."""
        sys.stdout.flush()


def suite(names: list[str]) -> unittest.TestSuite:
    """The chosen tests, or all of them in an order in which reloading comes last."""
    import batch_cases
    import results_cases
    import review_cases
    import scene_cases
    import segment_cases
    import tab_cases
    import train_cases

    cases = (
        *(segment_cases.Segment, results_cases.Results, batch_cases.Batch, tab_cases.Weights),
        *(tab_cases.Setup, train_cases.Train, review_cases.Look, review_cases.Review),
        *(scene_cases.Scene, scene_cases.Reload),
    )
    loader = unittest.TestLoader()
    tests = [loader.loadTestsFromTestCase(case) for case in cases]
    if not names:
        return unittest.TestSuite(tests)
    chosen = [
        test
        for group in tests
        for test in group
        if any(name in (type(test).__name__, test.id().partition(".")[2]) for name in names)
    ]
    return unittest.TestSuite(chosen)


def run(words: list[str]) -> int:
    """Run the tests; 0 if all passed or were skipped, 1 if not, 2 if there were none."""
    parser = argparse.ArgumentParser(prog="run_in_slicer.py")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--output", type=Path, default=Path(slicer.app.temporaryPath))
    arguments, _others = parser.parse_known_args(words)
    import driving

    driving.SCREENSHOTS = arguments.output
    arguments.output.mkdir(parents=True, exist_ok=True)
    tests = suite(arguments.only)
    if tests.countTestCases() == 0:
        return 2
    result = unittest.TextTestRunner(stream=Output(), verbosity=2).run(tests)
    sys.stdout.write(f"Screenshots: {arguments.output}\n")
    return 0 if result.wasSuccessful() else 1


def main() -> None:
    """Run and leave Slicer, whatever happens: it would go on running otherwise."""
    code = 1
    try:
        code = run(sys.argv[1:])
    except BaseException:  # noqa: BLE001 - Slicer would go on running without an answer
        traceback.print_exc()
    sys.stdout.flush()
    slicer.util.exit(code)


if __name__ == "__main__":
    main()
