"""The review queue in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from FlareMRSegLib.ResultTable import flagText
from FlareMRSegLib.Translation import tr as _

from FlareMRCore.data.labels import organ_table

SHOWN_REASONS = 3


def decisionWord(kind: str) -> str:
    """A decision in one word; empty if there is none."""
    words = {"accept": _("accepted"), "reject": _("rejected"), "correct": _("corrected")}
    return words.get(kind, kind)


def decisionText(item: Mapping[str, Any]) -> str:
    """What was decided about a line of the queue, by whom and why."""
    decision = item["decision"]
    if not decision:
        return _("not reviewed")
    text = _("{word} by {name}").format(word=decisionWord(decision["kind"]), name=decision["by"])
    return f"{text}: {decision['note']}" if decision["note"] else text


def organText(organs: str) -> str:
    """Names of organs given by their ids, joined by "+"; other words stay as they are."""
    names = {label.id: label.name for label in organ_table()}
    return ", ".join(names.get(organ, organ.replace("_", " ")) for organ in organs.split("+"))


def objectionText(objection: Mapping[str, Any]) -> str:
    """One thing that speaks against a pseudo-label, in a sentence."""
    rule, found, limit = objection["rule"], objection["found"], objection["limit"]
    texts = {
        "implausible-volume": _("unusual volume of {found:.0f} mL"),
        "wrong-side": _("lies on the wrong side"),
        "upside-down": _("the patient lies upside down"),
        "low-confidence": _("confidence of {found:.2f} only"),
        "low-agreement": _("agreement of the views of {found:.2f} only"),
        "rounds-differ": _("{percent:.0f} % changed since the last round"),
    }
    text = texts.get(rule)
    if text is None:
        words = flagText(rule)
        text = words if words != rule else _("{rule}: {found:.4g}, limit {limit:.4g}")
    filled = text.format(rule=rule, found=found, limit=limit, percent=100 * found)
    return f"{organText(objection['organ'])}: {filled}"


def reasonsText(objections: Sequence[Mapping[str, Any]]) -> str:
    """The first reasons to look at a case in one line."""
    texts = [objectionText(objection) for objection in objections[:SHOWN_REASONS]]
    left = len(objections) - len(texts)
    return "; ".join(texts + ([_("{count} more").format(count=left)] if left > 0 else []))


def queueText(items: Sequence[Mapping[str, Any]]) -> str:
    """How far the review is, in a sentence."""
    if not items:
        return _("The run has made no pseudo-labels yet.")
    kinds = [item["decision"]["kind"] for item in items if item["decision"]]
    if not kinds:
        text = _("Nobody has reviewed these {total} pseudo-labels; they are used as they are.")
        return text.format(total=len(items))
    text = _("{seen} of {total} reviewed: {accepted} accepted, {rejected} rejected, {corrected}")
    text += _(" corrected. Run the recipe again to use that.")
    return text.format(
        seen=len(kinds),
        total=len(items),
        accepted=kinds.count("accept"),
        rejected=kinds.count("reject"),
        corrected=kinds.count("correct"),
    )
