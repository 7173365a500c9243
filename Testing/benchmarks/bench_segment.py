"""Time and memory of each mode, beside nnU-Net v2's predictor with the same network and image.

Every number comes from a fresh process. This one imports nothing heavy: a child would inherit
the memory statistics of its parent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
TABLE = HERE / "segment.md"
MODES = ("fast", "standard", "accurate")
ALONE = "fine network alone"
PEER = "nnU-Net v2"
ROWS = (
    "import", "load", "preprocess", "coarse", "fine", "upsample", "postprocess", "save", "export",
    "total", "network alone", "all but the network", "processor time", "process",
    "peak memory (MB)",
    "memory over time (MB s)",
)  # fmt: skip
COMPARED = ("total", "all but the network", "network alone", "process", "peak memory (MB)")
GOALS = (("all but the network", 1.5), ("total", 8.0), ("peak memory (MB)", 1536.0))
"""Upper limits of the mode "standard"."""


@dataclass
class Column:
    """Repeated measurements of one way to segment."""

    name: str
    command: list[str]
    runs: list[dict[str, float]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)

    def smallest(self, row: str) -> float | None:
        """Minimum over the repeats; None if the row does not apply."""
        values = [run[row] for run in self.runs if run.get(row)]
        return min(values) if values else None

    def cell(self, row: str) -> str:
        """Minimum and median."""
        values = [run[row] for run in self.runs if run.get(row)]
        if not values:
            return "-"
        form = "{:.0f} / {:.0f}" if "MB" in row else "{:.2f} / {:.2f}"
        return form.format(min(values), statistics.median(values))


def environment(threads: int) -> dict[str, str]:
    """Variables of the children: the same threads for everybody."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(names, str(threads)),
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(HERE))),
        "PYTHONWARNINGS": "ignore",
    }


def run_json(command: list[str], threads: int) -> tuple[dict[str, Any], float]:
    """What a child printed, and the seconds from its start to its end."""
    import time

    start = time.perf_counter()
    done = subprocess.run(command, env=environment(threads), capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result, seconds


def missing_peer(python: str | None) -> str:
    """Why nnU-Net cannot be compared; empty if it can."""
    if not python:
        return "no --peer-python"
    if not Path(python).is_file():
        return f"there is no {python}"
    done = subprocess.run([python, "-c", "import nnunetv2"], capture_output=True, check=False)
    return "" if done.returncode == 0 else f"{python} has no nnunetv2"


def columns_of(case: dict[str, Any], folder: Path, options: argparse.Namespace) -> list[Column]:
    """The ways to segment that are compared."""
    threads = str(options.threads)
    ways = [(mode, case["weights"], mode) for mode in MODES]
    ways.append((ALONE, case["fine_alone"], "standard"))
    columns = []
    for number, (name, weights, mode) in enumerate(ways):
        output = str(folder / f"out{number}.nii.gz")
        command = [sys.executable, str(HERE / "segment_once.py"), case["image"], output]
        command += ["--weights", weights, "--mode", mode, "--threads", threads]
        columns.append(Column(name, command))
    reason = missing_peer(options.peer_python)
    if reason:
        print(f"{PEER}: left out ({reason}); see README.md for how to install it.")
    else:
        command = [options.peer_python, str(HERE / "nnunet_once.py"), str(folder / "case.json")]
        command += [str(folder / "peer"), "--threads", threads]
        columns.append(Column(PEER, command))
    return columns


def measure(columns: list[Column], options: argparse.Namespace) -> list[float]:
    """Run all columns in turn, so that a busy minute hits all of them; the load before each run."""
    loads = []
    for repeat in range(options.repeats):
        for column in columns:
            loads.append(os.getloadavg()[0])
            column.last, seconds = run_json(column.command, options.threads)
            column.runs.append({**column.last["costs"], "process": seconds})
            line = f"{repeat + 1}/{options.repeats} {column.name}: {seconds:.2f} s"
            print(f"{line}, load average {loads[-1]:.2f}", flush=True)
    return loads


def table(columns: list[Column]) -> list[str]:
    """Rows of costs, then how many times as much nnU-Net takes."""
    lines = ["| minimum / median | " + " | ".join(c.name for c in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    lines += [
        f"| {row} | " + " | ".join(column.cell(row) for column in columns) + " |"
        for row in ROWS
        if any(column.smallest(row) for column in columns)
    ]
    peer = next((column for column in columns if column.name == PEER), None)
    if peer is None:
        return lines
    for row in COMPARED:
        theirs = peer.smallest(row) or 0.0
        ratios = [f"{theirs / (column.smallest(row) or 1.0):.2f}" for column in columns]
        lines.append(f"| {PEER} / this: {row} | " + " | ".join(ratios) + " |")
    return lines


def verdicts(columns: list[Column]) -> list[str]:
    """Whether the mode "standard" keeps its limits."""
    standard = next(column for column in columns if column.name == "standard")
    lines = []
    for row, limit in GOALS:
        found = standard.smallest(row) or 0.0
        verdict = "kept" if found <= limit else "MISSED"
        lines.append(f"* standard, {row}: {found:.2f}, limit {limit:g}: {verdict}")
    return lines


def page(
    case: dict[str, Any], columns: list[Column], loads: list[float], options: argparse.Namespace
) -> str:
    """The whole report in Markdown."""
    shape = "x".join(str(n) for n in reversed(case["image_shape"]))
    versions = [f"Python {platform.python_version()}", f"torch {case['torch']}"]
    peer = next((column.last for column in columns if column.name == PEER), None)
    if peer:
        versions.append(f"nnunetv2 {peer['version']} with torch {peer['torch']}")
    stages = [
        f"* {c.name}: {s['stage']} {'x'.join(map(str, s['input_shape']))}, views "
        f"{'+'.join(s['views'])}, windows {s['window_shape']}, {s['precision']}"
        for c in columns
        for s in c.last.get("stages", ())
    ]
    lines = [
        "# Segmenting one image, by mode",
        "",
        f"Phantom of {shape} voxels, weights {case['weights_id']}, {options.threads} threads on "
        f"{processor_name()}, {options.repeats} repeats, each in a fresh process; load average "
        f"before the runs {min(loads):.2f} to {max(loads):.2f}. {', '.join(versions)}. Seconds "
        "unless said otherwise. Made by `bench_segment.py`; README.md says what the rows mean.",
        "",
        *table(columns),
        "",
        *verdicts(columns),
        "",
        "What ran:",
        "",
        *stages,
        f"* {PEER}: {case['builder']} at {case['spacing_mm']} mm, windows {case['patch']}, step "
        "0.5, no mirroring, its own preprocessing and export"
        if peer
        else f"* {PEER}: left out",
    ]
    return "\n".join(lines) + "\n"


def processor_name() -> str:
    """Name of the processor."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="identifier or path; default: the default weights, or "
                        "networks of random numbers if there are none")  # fmt: skip
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-python", default=os.environ.get("FLAREMR_PEER_PYTHON"),
                        help="Python of an environment with nnunetv2")  # fmt: skip
    parser.add_argument("--write", action="store_true", help=f"replace {TABLE.name}")
    return parser.parse_args()


def main() -> None:
    """Prepare, measure, print."""
    options = parse()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, str(HERE / "make_case.py"), name]
        command += ["--weights", options.weights] if options.weights else []
        case, _ = run_json(command, options.threads)
        (folder / "case.json").write_text(json.dumps(case), encoding="utf-8")
        columns = columns_of(case, folder, options)
        loads = measure(columns, options)
    text = page(case, columns, loads, options)
    print(text)
    if options.write:
        TABLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
