"""Segment one image once and print what it cost as JSON; started afresh for each measurement."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from process_costs import peak_memory_mb


@dataclass(slots=True)
class NetworkClock:
    """Seconds spent inside of networks, however they are called."""

    depth: int = 0
    start: float = 0.0
    seconds: float = 0.0

    def enter(self, *_: object) -> None:
        """A module starts; only the outermost one counts."""
        self.depth += 1
        if self.depth == 1:
            self.start = time.perf_counter()

    def leave(self, *_: object) -> None:
        """A module ends."""
        self.depth -= 1
        if self.depth == 0:
            self.seconds += time.perf_counter() - self.start

    def watch_all_modules(self) -> None:
        """Hear of every module from now on."""
        from torch.nn.modules import module

        module.register_module_forward_pre_hook(self.enter)
        module.register_module_forward_hook(self.leave, always_call=True)


def timed(work: Callable[[], None]) -> float:
    """Seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def import_engine() -> None:
    """Everything that a segmentation imports, torch above all."""
    import FlareMRCore.inference.segmentation
    import FlareMRCore.pipeline.segment_case  # noqa: F401


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("image", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--mode", required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    import_s = timed(import_engine)
    import torch

    from FlareMRCore.inference.efficiency import sampled
    from FlareMRCore.pipeline.engine import EngineOptions
    from FlareMRCore.pipeline.segment_case import SegmentFileOptions, segment_file

    torch.set_num_threads(arguments.threads)
    clock = NetworkClock()
    clock.watch_all_modules()
    engine = EngineOptions(
        weights=arguments.weights, mode=arguments.mode, device="cpu", threads=arguments.threads
    )
    cpu_start, start = time.process_time(), time.perf_counter()
    with sampled() as memory:
        case = segment_file(arguments.image, arguments.output, SegmentFileOptions(engine=engine))
    total_s = time.perf_counter() - start
    report = case.record.report
    costs = {
        "import": import_s,
        **report["seconds"],
        "total": total_s,
        "network alone": clock.seconds,
        "all but the network": total_s - clock.seconds,
        "processor time": time.process_time() - cpu_start,
        "peak memory (MB)": peak_memory_mb(),
        "memory over time (MB s)": memory.area_mb_s,
    }
    print(json.dumps({"costs": costs, "stages": report["stages"], "warnings": report["warnings"]}))


if __name__ == "__main__":
    main()
