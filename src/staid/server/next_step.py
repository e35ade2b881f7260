"""The next step of an error in the words of a page: who reads one has buttons, not commands."""

from __future__ import annotations

from types import MappingProxyType

from staid.domain import errors
from staid.domain.errors import StaidError

_OPERATOR = "Nothing was changed. Tell whoever runs Staid here: `staid doctor` says more."
_GATES = "Nothing was executed; those who run the gates see on the page Gates what is stopped."
_CALL = "Nothing was executed by this attempt; the page of the call shows how it stands."

_ON_A_PAGE = MappingProxyType(
    {
        StaidError: _OPERATOR,
        errors.QuestionEmpty: "Write a question first.",
        errors.RunNotFound: "The page Runs lists yours.",
        errors.RunBusy: "Wait a moment and load the page of the run again.",
        errors.RunInterrupted: "Look on the page of the run what it did; then ask anew.",
        errors.HandoffNotFound: "The page Hand-offs lists those that wait.",
        errors.ReadingUnrecorded: _OPERATOR,
        errors.FactAltered: "Nothing was executed. Somebody wrote to the database: tell whoever"
        " runs Staid here.",
        errors.ToolUnknown: "Nothing was changed. The page Gates has the name of every tool.",
        errors.CallPending: "Its request is on the page Approvals.",
        errors.ApprovalNotFound: "The page Approvals lists those that wait.",
        errors.ApprovalMismatch: "Nothing was executed. Open the request again: it may have"
        " changed since you looked.",
        errors.AlreadyVoted: "The page of the request shows who said what.",
        errors.EditInvalid: "Nothing was changed. Go back to the request, and mend the form.",
        errors.CallInDoubt: "Look in the system behind the tool, then say on the page of the call"
        " what you found.",
        errors.CallNotFound: "The page of a run lists its calls.",
        errors.NotStopped: "Nothing was changed. The page Gates shows what is stopped, by whom"
        " and why.",
        errors.UndoImpossible: _CALL,
        errors.UndoUnprobed: "Look in the system behind, then say on the page of the call whether"
        " it was taken back.",
        errors.ToolStopped: _GATES,
        errors.ApprovalJoined: "Decide it there: open {leader} from the page Approvals.",
        errors.ApprovalSummed: "Approve or deny it as it is, on the page of the request.",
    }
)


def on_a_page(error: StaidError) -> str | None:
    """Return what a reader of a page does next, as a template; None: the error's own words do.

    A hint that was given with the error says more than any of its kind, and stays.
    """
    told = _ON_A_PAGE.get(type(error))
    given = error.hint_text != type(error).hint.format(**error.values)
    return None if given else told
