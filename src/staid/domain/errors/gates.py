"""Errors 4xx: gates."""

from __future__ import annotations

from staid.domain.errors.base import StaidError


class ToolInvalid(StaidError):
    """The tool {tool} is not valid: {detail}"""

    code = "ST-401"
    hint = "A tool takes one pydantic model and, if it wants, a staid.Call."
    exit_code = 2


class ToolUnknown(StaidError):
    """There is no tool {tool}."""

    code = "ST-402"
    hint = "Register it with @project.tool, or correct allow_tools in staid.toml."
    exit_code = 2


class CallDenied(StaidError):
    """The call of {tool} was denied by rule {rule}: {detail}"""

    code = "ST-403"
    hint = "The bound is in the tool or the policy; nobody can approve past it."
    exit_code = 4


class CallPending(StaidError):
    """The call of {tool} waits for a human: {approval}."""

    code = "ST-404"
    hint = "staid approvals show {approval}"
    exit_code = 4


class ApprovalNotFound(StaidError):
    """There is no approval {approval}."""

    code = "ST-410"
    hint = "`staid approvals list` shows those that wait."
    exit_code = 2


class ApprovalDecided(StaidError):
    """The approval {approval} was already decided: {decision} by {by}."""

    code = "ST-411"
    hint = "Nothing was executed by this second decision."
    exit_code = 1


class ApprovalExpired(StaidError):
    """The approval {approval} expired at {at}."""

    code = "ST-412"
    hint = "Nothing was executed; ask again to propose the call anew."
    exit_code = 1


class ApprovalMismatch(StaidError):
    """The approval {approval} is bound to other arguments than those that would run."""

    code = "ST-413"
    hint = "Nothing was executed; look again: staid approvals show {approval}"
    exit_code = 1


class FactAltered(StaidError):
    """Fact {seq} of {run} is not as it was recorded, and the call {call} rests on it."""

    code = "ST-419"
    hint = "Nothing was executed. Somebody wrote to the database; see where: staid doctor"
    exit_code = 1


class ApproverNotAllowed(StaidError):
    """{approver} may not decide {approval}: {detail}"""

    code = "ST-414"
    hint = "Somebody else with the approver's role has to decide; nothing was executed."
    exit_code = 4


class AlreadyVoted(StaidError):
    """{approver} has already approved {approval}; it takes somebody else, too."""

    code = "ST-420"
    hint = "Votes so far: staid approvals show {approval}"
    exit_code = 1


class EditInvalid(StaidError):
    """The change of {approval} is not valid: {detail}"""

    code = "ST-421"
    hint = "Nothing was changed: staid approvals edit {approval} --set NAME=VALUE --as user:…"
    exit_code = 2


class EditDenied(StaidError):
    """The changed call would be denied by rule {rule}: {detail}"""

    code = "ST-422"
    hint = "Nothing was changed; {approval} still waits as it was."
    exit_code = 4


class CallInDoubt(StaidError):
    """Nobody knows whether the call {call} of {tool} took effect."""

    code = "ST-415"
    hint = "Look in the system behind the tool, then settle it: staid approvals show {call}"
    exit_code = 1


class CallMoved(StaidError):
    """The call {call} is {found}, not {expected}; somebody else moved it."""

    code = "ST-416"
    hint = "Nothing was executed by this attempt."
    exit_code = 1


class CallNotFound(StaidError):
    """There is no tool call {call}."""

    code = "ST-417"
    hint = "`staid why RUN` lists the calls of a run with their ids."
    exit_code = 2


class OperatorNotAllowed(StaidError):
    """{operator} may not stop or start tools: {detail}"""

    code = "ST-425"
    hint = "`[gates] operators` in staid.toml names who may; nothing was changed."
    exit_code = 4


class NotStopped(StaidError):
    """{tool} is not stopped."""

    code = "ST-426"
    hint = "`staid gates status` shows what is stopped, by whom and why."
    exit_code = 1


class UndoImpossible(StaidError):
    """The call {call} cannot be taken back: {detail}"""

    code = "ST-427"
    hint = "Nothing was executed by this attempt; look: staid approvals show {call}"
    exit_code = 1


class UndoUnprobed(StaidError):
    """No probe knows whether the call {call} was taken back."""

    code = "ST-429"
    hint = "Look in the system behind, then: staid approvals settle {call} --happened yes|no"
    exit_code = 3


class ToolStopped(StaidError):
    """{tool} was stopped before the call could begin: {reason}"""

    code = "ST-428"
    hint = "Nothing was executed; `staid gates status` shows what is stopped and what rests."
    exit_code = 4


class NotDone(StaidError):
    """Nothing happened: {detail}

    Raised by a write handler that knows it had no effect; any other exception leaves it in doubt.
    """

    code = "ST-418"
    hint = "The call failed and may be proposed again."
    exit_code = 1

    def __init__(self, detail: str = "the handler gave up before it changed anything") -> None:
        super().__init__(detail=detail)


class PolicyInvalid(StaidError):
    """{where}: {detail}"""

    code = "ST-430"
    hint = "Mend the policy there; until then nothing acts. `staid gates check` finds every fault."
    exit_code = 2


class PolicyUnreadable(StaidError):
    """The policy {file} cannot be read: {detail}"""

    code = "ST-431"
    hint = "Name the file below [gates] in staid.toml; without its policy nothing acts."
    exit_code = 2


class SignOffRefused(StaidError):
    """{who} cannot sign off the policy: {detail}."""

    code = "ST-432"
    hint = "staid gates backtest FILE --sign-off REASON --as user:lead"
    exit_code = 4


class PolicyLoosens(StaidError):
    """The policy would stand less in the way of {count} recorded calls than then."""

    code = "ST-433"
    hint = "Look at them; who takes it on: --sign-off REASON --as user:lead"


class ChaosNotMeant(StaidError):
    """This would run the handler of {tool} about {calls} times, with real effects."""

    code = "ST-454"
    hint = "Where its effects may happen, as on a test account: staid gates chaos {tool} --really"
    exit_code = 2


class ChaosImpossible(StaidError):
    """The handler of {tool} cannot be killed: {detail}"""

    code = "ST-458"
    hint = "Give arguments that the tool takes, small ones: --arguments '{{\"amount\": 1}}'"
    exit_code = 2


class RulingOutdated(StaidError):
    """The call {call} was allowed by another policy than the one that holds now."""

    code = "ST-459"
    hint = "Nothing was executed. Propose it again: it is ruled on by the policy of now."
    exit_code = 1


class ApproverSpent(StaidError):
    """{approver} approved {spent} within {window}, and may approve {limit}."""

    code = "ST-455"
    hint = "Somebody else with the approver's role has to decide {approval}; nothing was executed."
    exit_code = 4


class ApprovalJoined(StaidError):
    """The request {approval} is decided together with others, as {leader}."""

    code = "ST-456"
    hint = "staid approvals show {leader}"
    exit_code = 1


class ApprovalSummed(StaidError):
    """The request {approval} is about a sum of calls, which nobody can edit as one."""

    code = "ST-457"
    hint = "Approve or deny it as it is: staid approvals show {approval}"
    exit_code = 1
