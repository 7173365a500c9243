"""Run nnU-Net v2's predictor with one of our networks on one image; prints its costs as JSON.

Runs in an environment of its own that has nnunetv2; of FlareMRCore it needs the networks only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

from process_costs import peak_memory_mb
from segment_once import NetworkClock

CLASSES = 14
CONFIGURATION = "3d_fullres"


def plans_of(spacing_mm: list[float], patch: list[int]) -> dict[str, Any]:
    """Plans as nnU-Net's planner writes them, with its own preprocessing and resampling."""
    sizes = {"is_seg": False, "order_z": 0, "force_separate_z": None}
    resample = "resample_data_or_seg_to_shape"
    configuration = {
        "data_identifier": "benchmark",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": patch,
        "spacing": spacing_mm,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": resample,
        "resampling_fn_data_kwargs": {**sizes, "order": 3},
        "resampling_fn_seg": resample,
        "resampling_fn_seg_kwargs": {**sizes, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": resample,
        "resampling_fn_probabilities_kwargs": {**sizes, "order": 1},
        "architecture": {},
        "batch_dice": False,
    }
    return {
        "dataset_name": "Dataset001_Benchmark",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": spacing_mm,
        "original_median_shape_after_transp": patch,
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {}},
    }


def load_predictor(case: dict[str, Any]) -> Any:
    """nnU-Net's predictor, holding our network with its trained state."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from FlareMRCore.networks.builders import build_network

    content = torch.load(case["state"], map_location="cpu", weights_only=True)
    state = {k: v.float() if v.is_floating_point() else v for k, v in content["state_dict"].items()}
    network = build_network(case["builder"])
    network.load_state_dict(state)
    plans = PlansManager(plans_of(list(case["spacing_mm"]), list(case["patch"])))
    labels = {"background": 0, **{f"organ{n}": n for n in range(1, CLASSES)}}
    dataset = {"channel_names": {"0": "MR"}, "labels": labels, "file_ending": ".nii.gz"}
    predictor = nnUNetPredictor(
        use_mirroring=False, perform_everything_on_device=False,
        device=torch.device("cpu"), allow_tqdm=False,
    )  # fmt: skip
    predictor.manual_initialization(
        network, plans, plans.get_configuration(CONFIGURATION), [state], dataset, "", None
    )
    return predictor


class Phases:
    """Seconds by phase, measured around nnU-Net's own functions."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, with its time added to a phase."""

        def wrapper(*arguments: Any, **keywords: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                spent = time.perf_counter() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + spent

        return wrapper


def predict(case: dict[str, Any], output: Path, phases: Phases) -> None:
    """From weights on disk to labels on disk."""
    from nnunetv2.inference import predict_from_raw_data as module

    predictor = phases.timed("load", load_predictor)(case)
    preprocessor = predictor.configuration_manager.preprocessor_class
    preprocessor.run_case = phases.timed("preprocess", preprocessor.run_case)
    predictor.predict_logits_from_preprocessed_data = phases.timed(
        "fine", predictor.predict_logits_from_preprocessed_data
    )
    module.export_prediction_from_logits = phases.timed(
        "export", module.export_prediction_from_logits
    )
    predictor.predict_from_files_sequential([[case["image"]]], [str(output)])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ.setdefault(name, str(arguments.output.parent))
    case = json.loads(arguments.case.read_text(encoding="utf-8"))
    phases, clock = Phases(), NetworkClock()
    with redirect_stdout(sys.stderr):
        start = time.perf_counter()
        import torch
        from nnunetv2.inference import predict_from_raw_data  # noqa: F401

        import_s = time.perf_counter() - start
        torch.set_num_threads(arguments.threads)
        clock.watch_all_modules()
        cpu_start, start = time.process_time(), time.perf_counter()
        predict(case, arguments.output, phases)
        total_s = time.perf_counter() - start
    costs = {
        "import": import_s,
        **phases.seconds,
        "total": total_s,
        "network alone": clock.seconds,
        "all but the network": total_s - clock.seconds,
        "processor time": time.process_time() - cpu_start,
        "peak memory (MB)": peak_memory_mb(),
    }
    print(json.dumps({"costs": costs, "version": version("nnunetv2"), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
