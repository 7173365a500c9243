"""What the segments are called in SNOMED CT, for Slicer: entries, and a list of our own."""

import json
from pathlib import Path
from typing import Any

import slicer
import vtk

from FlareMRCore.data.labels import Code, Label, organ_table
from FlareMRCore.data.segment_fields import (
    CATEGORY,
    LABEL_TAG,
    TERMINOLOGY_CONTEXT,
    terminology_entry,
)

CONTEXT = "Segmentation category and type - FlareMR"
FILE_NAME = "SegmentationCategoryTypeModifier-FlareMR.term.json"
NOT_IN_SLICER = ("inferior_vena_cava",)
"""Organs that Slicer's General Anatomy list lacks; they refer to our own list."""


def entryOf(label: Label) -> str:
    """Terminology entry of a segment, in Slicer's list if that has the organ, else in ours."""
    entry = terminology_entry(label)
    return entry.replace(TERMINOLOGY_CONTEXT, CONTEXT) if label.id in NOT_IN_SLICER else entry


def organOfSegment(segment: Any) -> str:
    """Identifier of the organ that a segment stands for; empty if it is none of ours.

    The tag counts first, because names are edited; segments of other programs are known by
    their codes.
    """
    tag = _tag(segment, LABEL_TAG)
    if tag in {label.id for label in organ_table()}:
        return tag
    codes = _codes(_tag(segment, slicer.vtkSegment.GetTerminologyEntryTagName()))
    for label in organ_table():
        if codes is not None and codes == _codes(terminology_entry(label)):
            return label.id
    return ""


def termDocument() -> dict[str, Any]:
    """Content of our `.term.json`: the organs in one category, with sides where there are two."""
    types: dict[str, dict[str, Any]] = {}
    for label in organ_table():
        entry = types.setdefault(label.type_code.value, _code(label.type_code))
        if label.modifier_code is None:
            entry["recommendedDisplayRGBValue"] = list(label.color)
        else:
            modifier = _code(label.modifier_code)
            modifier["recommendedDisplayRGBValue"] = list(label.color)
            entry.setdefault("Modifier", []).append(modifier)
    category = {**_code(CATEGORY), "showAnatomy": "false", "Type": list(types.values())}
    return {
        "SegmentationCategoryTypeContextName": CONTEXT,
        "@schema": "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/schemas/"
        "segment-context-schema.json#",
        "SegmentationCodes": {"Category": [category]},
    }


def termText() -> str:
    """The same as the text of the file in `Resources`."""
    return json.dumps(termDocument(), indent=2) + "\n"


def registerTerminology(path: Path | None = None) -> bool:
    """Make Slicer know our list; call it when Slicer has started. False if it could not."""
    file = path or Path(__file__).resolve().parents[1] / "Resources" / FILE_NAME
    return bool(slicer.modules.terminologies.logic().LoadTerminologyFromFile(str(file)))


def _code(code: Code) -> dict[str, Any]:
    return {
        "CodingSchemeDesignator": code.scheme,
        "CodeValue": code.value,
        "CodeMeaning": code.meaning,
    }


def _tag(segment: Any, name: str) -> str:
    found = vtk.mutable("")
    return str(found) if segment.GetTag(name, found) else ""


def _codes(entry: str) -> tuple[str, str] | None:
    """Values of type and modifier in a terminology entry; None if it is not one."""
    parts = entry.split("~")
    if len(parts) < 4:
        return None
    typeCode, modifier = (part.split("^") for part in parts[2:4])
    if len(typeCode) < 2 or not typeCode[1]:
        return None
    return typeCode[1], modifier[1] if len(modifier) > 1 else ""
