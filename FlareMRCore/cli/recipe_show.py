"""Steps of the verb `recipe` before anything runs: show, check, edit."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from FlareMRCore.cli.console import format_table, job_reporter, write_line
from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.events import json_values
from FlareMRCore.pipeline.recipe import Recipe
from FlareMRCore.pipeline.recipe_editing import edit_recipe, edited_name, parse_change
from FlareMRCore.pipeline.recipe_parameters import RecipeInfo, describe_recipe
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.recipe_writing import recipe_toml


def chosen_recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe that the arguments name."""
    return load_recipe(arguments.recipe, preset=arguments.preset, profile=arguments.profile)


def tell(arguments: argparse.Namespace, content: Mapping[str, Any]) -> bool:
    """Write `content` for programs, if one asked for it; False if people read."""
    job_reporter(arguments).result(content)
    if arguments.json_progress:
        return True
    if arguments.json:
        write_line(json.dumps(json_values(content), indent=1))
    return bool(arguments.json)


def _show(arguments: argparse.Namespace) -> None:
    info = describe_recipe(arguments.recipe, preset=arguments.preset, profile=arguments.profile)
    if not tell(arguments, asdict(info)):
        _write_info(info)


def _write_info(info: RecipeInfo) -> None:
    write_line(f"{info.title} ({info.name} {info.preset} {info.profile})\n{info.description}\n")
    for stage in info.stages:
        inputs = ", ".join(f"{slot}: {' + '.join(names)}" for slot, names in stage.inputs.items())
        write_line(f"[{stage.id}] {stage.use}" + (f" <- {inputs}" if inputs else ""))
        if stage.where:
            write_line(f"    where {json.dumps(stage.where)}")
        for parameter in stage.parameters:
            unit = f" {parameter.unit}" if parameter.unit else ""
            text = f"{parameter.name} = {json.dumps(parameter.value)}{unit}"
            write_line(f"    {text}  ({parameter.origin})")


def _edit(arguments: argparse.Namespace) -> None:
    changes = [parse_change(text) for text in arguments.set]
    name = edited_name(arguments.output)
    recipe = edit_recipe(chosen_recipe(arguments), changes, name=name)
    write_text_atomically(arguments.output, recipe_toml(recipe))
    content = {"path": arguments.output.resolve(), "changes": len(changes)}
    if not tell(arguments, content):
        write_line(f"{arguments.output}: {recipe.label}, {len(changes)} parameters changed.")


def _check(arguments: argparse.Namespace) -> None:
    recipe = chosen_recipe(arguments)
    content: dict[str, Any] = {"recipe": recipe.label, "stages": len(recipe.stages)}
    if arguments.dry_run:
        content |= _dry_run(arguments, recipe)
    if tell(arguments, content):
        return
    write_line(f"{recipe.label}: {len(recipe.stages)} stages, no mistakes.")
    if arguments.dry_run:
        _write_dry_run(content)


def _dry_run(arguments: argparse.Namespace, recipe: Recipe) -> dict[str, Any]:
    from FlareMRCore.inference.system_memory import available_memory_bytes
    from FlareMRCore.pipeline.recipe_sanity import check_networks

    reporter = job_reporter(arguments)
    checks = check_networks(recipe, reporter, probe=not arguments.no_probe, device=arguments.device)
    hours = [check.hours for check in checks]
    return {
        "checks": [asdict(check) for check in checks],
        "memory_mb": max((check.memory_mb for check in checks), default=0.0),
        "free_memory_mb": available_memory_bytes() / 1024**2,
        "hours": None if None in hours else sum(h for h in hours if h is not None),
    }


def _write_dry_run(content: Mapping[str, Any]) -> None:
    rows = [
        [
            check["stage_id"],
            check["builder"],
            "x".join(str(n) for n in check["shape"]),
            str(check["parameters"]),
            f"{check['gmacs']:.1f}",
            f"{check['memory_mb']:.0f}",
            "-" if check["step_s"] is None else f"{check['step_s']:.2f}",
            "-" if check["hours"] is None else f"{check['hours']:.2f}",
            _timed(check),
        ]
        for check in content["checks"]
    ]
    header = (
        "stage",
        "network",
        "patch",
        "parameters",
        "GMACs",
        "MB",
        "s/patch",
        "hours",
        "timed with",
    )
    write_line(format_table(header, rows))
    write_line("Memory is that of one training step; hours are for one process on this machine.")
    hours = "unknown" if content["hours"] is None else f"{content['hours']:.2f}"
    write_line(
        f"In all: {hours} hours of training, {content['memory_mb']:.0f} MB at most; "
        f"{content['free_memory_mb']:.0f} MB are free."
    )


def _timed(check: Mapping[str, Any]) -> str:
    """What the seconds come from."""
    if check["step_s"] is None:
        return "-"
    if check["probed_shape"] is None:
        return f"estimate ({check['reason'] or 'memory'})"
    if not check["reason"]:
        return "this patch"
    return f"{'x'.join(str(n) for n in check['probed_shape'])} ({check['reason']})"


SHOW_STEPS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "show": _show,
    "edit": _edit,
    "check": _check,
}
