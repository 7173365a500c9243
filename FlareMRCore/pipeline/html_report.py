"""A report to read in any browser: one page without links to other files or servers."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import Any

from FlareMRCore.data.labels import organ_table
from FlareMRCore.pipeline.case_record import CaseRecord
from FlareMRCore.pipeline.statistics import OrganStatistics

NOTICE = "Research use only: not a medical device, not for diagnosis or treatment."

FLAG_TEXTS = {
    "missing": "not found",
    "touches-border": "touches the border of the image",
    "fragmented": "in several pieces",
    "implausible-volume": "unusual volume",
}
"""What flags mean to people; a flag that is not listed is shown as it is."""


@dataclass(frozen=True, slots=True)
class PageCase:
    """One case of the page: a record with its picture (PNG), or the error that ended it."""

    name: str
    record: CaseRecord | None = None
    picture: bytes = b""
    error: Mapping[str, Any] = field(default_factory=dict)


def report_page(cases: Sequence[PageCase]) -> str:
    """HTML of the report; several cases get an overview in front."""
    title = cases[0].name if len(cases) == 1 else f"{len(cases)} cases"
    style = files("FlareMRCore").joinpath("resources/report.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    overview = _overview(cases) if len(cases) > 1 else ""
    sections = "\n".join(_section(number, case) for number, case in enumerate(cases))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>FlareMR: {escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header><h1>FlareMR segmentation report</h1><p>{escape(NOTICE)}</p></header>
<main>
{overview}{sections}
</main>
</body>
</html>
"""


def _overview(cases: Sequence[PageCase]) -> str:
    rows = "\n".join(_overview_row(number, case) for number, case in enumerate(cases))
    done = sum(case.record is not None for case in cases)
    return f"""<section>
<h2>{done} of {len(cases)} cases segmented</h2>
<table><thead><tr><th>case</th><th>state</th><th>organs</th><th>flags</th>
<th>mean confidence</th><th class="number">seconds</th></tr></thead>
<tbody>
{rows}
</tbody></table>
</section>
"""


def _overview_row(number: int, case: PageCase) -> str:
    link = f'<a href="#case-{number}">{escape(case.name)}</a>'
    record = case.record
    if record is None:
        message = escape(str(case.error.get("message", "unknown error")))
        state = f'<span class="bad">failed</span></td><td colspan="4">{message}'
        return f"<tr><td>{link}</td><td>{state}</td></tr>"
    found = [organ for organ in record.organs if organ.volume_ml > 0]
    sure = [organ.confidence for organ in found if organ.confidence is not None]
    mean = _bar(sum(sure) / len(sure)) if sure else ""
    flags = sum(len(organ.flags) for organ in record.organs)
    seconds = sum(record.report.get("seconds", {}).values())
    return (
        f'<tr><td>{link}</td><td><span class="good">done</span></td>'
        f"<td>{len(found)} of {len(record.organs)}</td><td>{flags}</td>"
        f'<td class="keep">{mean}</td><td class="number">{seconds:.1f}</td></tr>'
    )


def _section(number: int, case: PageCase) -> str:
    heading = f'<section id="case-{number}">\n<h2>{escape(case.name)}</h2>'
    record = case.record
    if record is None:
        message = escape(str(case.error.get("message", "unknown error")))
        hint = escape(str(case.error.get("hint", "")))
        return f'{heading}\n<p class="bad">Failed: {message} {hint}</p>\n</section>'
    source = base64.b64encode(case.picture).decode("ascii")
    picture = (
        f'<img alt="Axial, coronal and sagittal slices of {escape(case.name)} with the organs '
        f'outlined" src="data:image/png;base64,{source}">'
        if source
        else ""
    )
    parts = (heading, picture, _warnings(record), _organs(record.organs), _facts(record))
    return "\n".join([*parts, "</section>"])


def _warnings(record: CaseRecord) -> str:
    if not record.warnings:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in record.warnings)
    return f'<ul class="warnings">{items}</ul>'


def _organs(organs: Sequence[OrganStatistics]) -> str:
    colors = {label.value: label.color for label in organ_table()}
    rows = "\n".join(_organ_row(organ, colors) for organ in organs)
    return f"""<table><thead><tr><th class="number">value</th><th>organ</th>
<th class="number">volume (mL)</th><th class="number">mean ± sd intensity</th>
<th>confidence</th><th>agreement</th><th>flags</th></tr></thead>
<tbody>
{rows}
</tbody></table>"""


def _organ_row(organ: OrganStatistics, colors: Mapping[int, tuple[int, int, int]]) -> str:
    red, green, blue = colors.get(organ.value, (128, 128, 128))
    swatch = f'<span class="swatch" style="background:rgb({red},{green},{blue})"></span>'
    flags = ", ".join(escape(FLAG_TEXTS.get(flag, flag)) for flag in organ.flags)
    missing = ' class="missing"' if organ.volume_ml <= 0 else ""
    return (
        f'<tr{missing}><td class="number">{organ.value}</td>'
        f'<td class="keep">{swatch}{escape(organ.name)}</td>'
        f'<td class="number">{_volume(organ.volume_ml)}</td>'
        f'<td class="number">{_intensity(organ)}</td>'
        f'<td class="keep">{_bar(organ.confidence)}</td>'
        f'<td class="keep">{_bar(organ.agreement)}</td>'
        f"<td>{flags}</td></tr>"
    )


def _volume(volume_ml: float) -> str:
    if volume_ml <= 0:
        return "–"  # noqa: RUF001 - the dash of tables
    return f"{volume_ml:.1f}" if volume_ml >= 10 else f"{volume_ml:.2f}"


def _intensity(organ: OrganStatistics) -> str:
    if organ.mean_intensity is None or organ.sd_intensity is None:
        return "–"  # noqa: RUF001 - the dash of tables
    return f"{organ.mean_intensity:.4g} ± {organ.sd_intensity:.3g}"


def _bar(share: float | None) -> str:
    if share is None:
        return "–"  # noqa: RUF001 - the dash of tables
    kind = "high" if share >= 0.9 else "middle" if share >= 0.75 else "low"
    width = 100 * min(1.0, max(0.0, share))
    return (
        f'<span class="bar"><span class="{kind}" style="width:{width:.0f}%"></span></span> '
        f"{share:.2f}"
    )


def _facts(record: CaseRecord) -> str:
    report = record.report
    size = " × ".join(str(n) for n in record.shape[::-1])  # noqa: RUF001 - the sign of sizes
    spacing = " × ".join(f"{mm:.3g}" for mm in record.spacing_mm[::-1])  # noqa: RUF001
    seconds = report.get("seconds", {})
    times = ", ".join(f"{phase} {value:.2f}" for phase, value in seconds.items() if value)
    hashes = ", ".join(f"{k} {v[:12]}" for k, v in report.get("weights_sha256", {}).items())
    facts = {
        "image": record.input + ("" if record.frame is None else f", frame {record.frame}"),
        "grid": f"{size} voxels of {spacing} mm",
        "segmentation": record.output,
        "finished": record.finished,
        "time": f"{sum(seconds.values()):.1f} s ({times})",
        "mode": report.get("mode", ""),
        "device": f"{report.get('device', '')}, {report.get('threads', '')} threads "
        f"({report.get('device_reason', '')})",
        "weights": f"{report.get('weights_id', '')} {report.get('weights_version', '')} ({hashes})",
        **{f"{stage['stage']} network": _stage(stage) for stage in report.get("stages", ())},
        "region of interest": report.get("roi_note", ""),
        "peak memory": f"{report.get('peak_memory_mb', 0):.0f} MB",
        "software": ", ".join(f"{name} {v}" for name, v in record.versions.items()),
    }
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>"
        for name, value in facts.items()
        if value
    )
    return f"<details open><summary>How it was made</summary><dl>{rows}</dl></details>"


def _stage(stage: Mapping[str, Any]) -> str:
    size = " x ".join(str(n) for n in stage.get("input_shape", ()))
    parts = [
        str(stage.get("network", "")),
        f"input {size}",
        f"views {', '.join(stage.get('views', ()))}",
        f"{stage.get('precision', '')} ({stage.get('precision_reason', '')})",
        *stage.get("steps", ()),
    ]
    return "; ".join(parts)
