"""Every error of Staid: one base, a stable code, a message, and the next step.

The first paragraph of a class's docstring *is* its message; `{name}` takes the keyword arguments.
Codes never change meaning and are never used again. `docs/errors.md` is written from this file.
"""

from __future__ import annotations

import inspect
from typing import ClassVar


class StaidError(Exception):
    """Something went wrong in Staid."""

    code: ClassVar[str] = "ST-000"
    hint: ClassVar[str] = "Run `staid doctor` and read what it reports."
    exit_code: ClassVar[int] = 5
    """Of the CLI: 1 check failed, 2 usage, 3 cannot tell, 4 not permitted, 5 system."""

    def __init__(self, **values: object) -> None:
        """Build the message from the docstring; a `hint=` value replaces the class's hint."""
        self.hint_text = str(values.pop("hint", self.hint)).format(**values)
        template = inspect.cleandoc(type(self).__doc__ or "").split("\n\n")[0].replace("\n", " ")
        self.values = values
        self.message = template.format(**values)
        super().__init__(f"{self.code}: {self.message}")


# --- 1xx: project, settings, store ---------------------------------------------------------


class ProjectNotFound(StaidError):
    """There is no `staid.toml` in {directory} or above it."""

    code = "ST-101"
    hint = "Run `staid init DIR` to make a project, or name one with --project DIR."
    exit_code = 2


class SettingsInvalid(StaidError):
    """The setting {key} in {file} is not valid: {detail}"""

    code = "ST-102"
    hint = "Correct the file; docs/reference/settings.md lists every key."
    exit_code = 2


class EntryInvalid(StaidError):
    """The project's entry {entry} cannot be loaded: {detail}"""

    code = "ST-103"
    hint = "`entry` in staid.toml is `module:object`, and the object is a `staid.Project`."
    exit_code = 2


class StoreUnavailable(StaidError):
    """The store cannot be used: {detail}"""

    code = "ST-110"
    hint = "Check the store's URL, and that its folder is writable. Nothing was lost."


class StoreLocked(StaidError):
    """The store stayed locked by another process for {seconds} s."""

    code = "ST-111"
    hint = "Try again; if it stays so, look for a process that holds {path} open. Nothing was lost."


class StoreReadOnly(StaidError):
    """The store is read-only, so no answer could be recorded and none was given."""

    code = "ST-112"
    hint = "Make the database file and its folder writable for this user."


class StoreFull(StaidError):
    """The disk is full, so no answer could be recorded and none was given."""

    code = "ST-113"
    hint = "Free some room and ask again; what was acknowledged before is safe."


class SchemaNewer(StaidError):
    """The store was written by a newer Staid (schema {found}, this one knows {known})."""

    code = "ST-114"
    hint = "Upgrade Staid; an older release never touches a newer store."


class JournalKeyMissing(StaidError):
    """The journal's key {path} is missing, so the journal can be neither written nor verified."""

    code = "ST-115"
    hint = "Restore the key from your backup, or set STAID_JOURNAL_KEY."


class SecretMissing(StaidError):
    """The secret {reference} is not set."""

    code = "ST-116"
    hint = "Set it, or change the reference in staid.toml."


# --- 2xx: knowledge and rights -------------------------------------------------------------


class SourceNotFound(StaidError):
    """There is no source {source}: neither a configured name nor a path."""

    code = "ST-201"
    hint = "Name a folder, a .jsonl file, or a key below [sources] in staid.toml."
    exit_code = 2


class RowMalformed(StaidError):
    """Line {line} of {file} is not a usable row: {detail}"""

    code = "ST-202"
    hint = (
        'A row is one JSON object with at least "id" and "text"; --map text=content renames fields.'
    )
    exit_code = 2


class DocumentUnreadable(StaidError):
    """The document {document} cannot be read: {detail}"""

    code = "ST-203"
    hint = "It was skipped whole; mend or remove it and ingest again."


class LabelInvalid(StaidError):
    """The label is not valid: {detail}"""

    code = "ST-204"
    hint = (
        '`{{"allow": [["group:finance","user:cfo"], ["group:employees"]], "deny": []}}` is a label.'
    )
    exit_code = 2


class DocumentNotFound(StaidError):
    """There is no document {document}."""

    code = "ST-205"
    hint = "Run `staid acl list` to see the ids; write source/id where an id is ambiguous."
    exit_code = 2


class DocumentAmbiguous(StaidError):
    """The id {document} exists in more than one source: {sources}."""

    code = "ST-206"
    hint = "Write it as source/id."
    exit_code = 2


class AskerUnknown(StaidError):
    """The asker {asker} is not in the project's directory."""

    code = "ST-210"
    hint = "Add it to the directory, or assert its groups with --groups group:a,group:b."
    exit_code = 2


class AskerDisabled(StaidError):
    """The asker {asker} is disabled in the project's directory."""

    code = "ST-211"
    hint = (
        "Nothing is answered for a disabled principal; enable it in the directory if this is wrong."
    )
    exit_code = 4


class AskerMalformed(StaidError):
    """{asker} is not a principal: {detail}"""

    code = "ST-212"
    hint = "Write it as user:ada (or service:billing); groups as group:finance."
    exit_code = 2


class DirectoryInvalid(StaidError):
    """The directory {file} is not valid: {detail}"""

    code = "ST-213"
    hint = "Correct the file; docs/reference/directory.md shows its form."
    exit_code = 2


class EmbedderMismatch(StaidError):
    """The corpus was embedded with {found}, the project is set to {wanted}."""

    code = "ST-220"
    hint = "Set the embedder back, or ingest again with `staid ingest --rebuild`."


class EmbedderBroken(StaidError):
    """The embedding model cannot be used: {detail}"""

    code = "ST-221"
    hint = "Install Staid again; the model file is pinned by its hash."


class CalibrationMissing(StaidError):
    """There is no calibration for the embedder {embedder}: a cosine is no confidence."""

    code = "ST-222"
    hint = 'Run `make fit-confidence`, or set signal = "similarity" below [grounding].'


# --- 3xx: asking and models ----------------------------------------------------------------


class QuestionEmpty(StaidError):
    """The question is empty."""

    code = "ST-301"
    hint = 'Ask something: staid ask "What is the refund policy?" --as user:ada'
    exit_code = 2


class QuestionTooLong(StaidError):
    """The question has {characters} characters; at most {limit} are accepted."""

    code = "ST-302"
    hint = "Ask a shorter question; put documents into a source and ingest them."
    exit_code = 2


class ConversationNotFound(StaidError):
    """There is no conversation {conversation}."""

    code = "ST-303"
    hint = "Leave --conversation out to start a new one."
    exit_code = 2


class AgentNotFound(StaidError):
    """There is no agent {agent}."""

    code = "ST-304"
    hint = "Agents are made with project.agent(name, …) or below [agents] in staid.toml."
    exit_code = 2


class KeyReused(StaidError):
    """The key {key} was used for another question."""

    code = "ST-305"
    hint = "Use a new key for a new question."
    exit_code = 2


class RunNotFound(StaidError):
    """There is no run {run}."""

    code = "ST-306"
    hint = "`staid runs list` shows the newest."
    exit_code = 2


class RunBusy(StaidError):
    """The run {run} is being carried on by another process."""

    code = "ST-307"
    hint = "Wait a moment and look again: staid why {run}"


class HandoffNotFound(StaidError):
    """There is no hand-off {handoff}."""

    code = "ST-308"
    hint = "`staid handoffs list` shows those that wait."
    exit_code = 2


class HandoffAnswered(StaidError):
    """The hand-off {handoff} was already answered."""

    code = "ST-309"
    hint = "Nothing was changed."
    exit_code = 1


class ModelUnknown(StaidError):
    """The model {model} is not known."""

    code = "ST-310"
    hint = 'Use "quote", "scripted:FILE", or a provider\'s name such as "anthropic:…", "openai:…".'
    exit_code = 2


class ModelKeyMissing(StaidError):
    """The model {model} needs a key, and {variable} is not set."""

    code = "ST-311"
    hint = 'Set {variable}, or use the model "quote", which needs none.'
    exit_code = 2


class ModelUnavailable(StaidError):
    """No model answered: {detail}"""

    code = "ST-312"
    hint = "Try again, or name a fallback in staid.toml. The run is recorded."


class ModelTooDear(StaidError):
    """The run reached its cost cap of {cap} US dollars."""

    code = "ST-313"
    hint = "Raise max_cost below the agent in staid.toml, or use a cheaper model."


class ScriptInvalid(StaidError):
    """The script {file} is not valid: {detail}"""

    code = "ST-314"
    hint = "docs/reference/scripted.md shows its form."
    exit_code = 2


class RunInterrupted(StaidError):
    """The run {run} was cut off after it had begun to act, so its key does not start another."""

    code = "ST-315"
    hint = "Look what it did: staid why {run}; then ask with a new key."


# --- 4xx: gates ----------------------------------------------------------------------------


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


class ApproverNotAllowed(StaidError):
    """{approver} may not decide {approval}: {detail}"""

    code = "ST-414"
    hint = "Somebody else with the approver's role has to decide; nothing was executed."
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


class NotDone(StaidError):
    """Nothing happened: {detail}

    Raised by a write handler that knows it had no effect; any other exception leaves it in doubt.
    """

    code = "ST-418"
    hint = "The call failed and may be proposed again."
    exit_code = 1

    def __init__(self, detail: str = "the handler gave up before it changed anything") -> None:
        super().__init__(detail=detail)


# --- 5xx: journal and evals ----------------------------------------------------------------


class JournalBroken(StaidError):
    """The journal does not verify: {detail}"""

    code = "ST-501"
    hint = "Somebody changed recorded facts, or the key is another one. Compare with a backup."
    exit_code = 1


class DatasetInvalid(StaidError):
    """Line {line} of the dataset {file} is not a usable case: {detail}"""

    code = "ST-502"
    hint = "docs/reference/evals.md shows the form of a case."
    exit_code = 2


class DatasetChanged(StaidError):
    """The dataset {file} has the hash {found}, but its manifest states {stated}."""

    code = "ST-505"
    hint = (
        "If the change is meant, record it together with a new baseline: "
        "staid eval baseline DATASET --accept-changes"
    )
    exit_code = 3


class ExperimentInvalid(StaidError):
    """{file} is not a stored experiment: {detail}"""

    code = "ST-506"
    hint = "Write a new one: `staid eval run DATASET --out FILE` or `staid eval baseline DATASET`."
    exit_code = 2


class BaselineMissing(StaidError):
    """There is no baseline for {dataset}."""

    code = "ST-503"
    hint = "Record one: staid eval baseline"
    exit_code = 3


class NotComparable(StaidError):
    """The baseline and the candidate cannot be compared: {detail}"""

    code = "ST-504"
    hint = "Run the baseline again on the same cases."
    exit_code = 3


# --- 6xx: usage ----------------------------------------------------------------------------


class UsageInvalid(StaidError):
    """{detail}"""

    code = "ST-601"
    hint = "See --help of the command."
    exit_code = 2


class NotPermitted(StaidError):
    """{who} may not do this: {detail}"""

    code = "ST-602"
    hint = "Ask somebody who may."
    exit_code = 4


# --- 61x: HTTP -----------------------------------------------------------------------------


class NotSignedIn(StaidError):
    """Nobody is signed in here, or the session is over."""

    code = "ST-610"
    hint = "Open the sign-in link that `staid serve` printed; each start prints a new one."
    exit_code = 4


class SignInLinkInvalid(StaidError):
    """This sign-in link is not valid: it was used, or is older than {minutes} minutes."""

    code = "ST-611"
    hint = "Start `staid serve` again; it prints a new link."
    exit_code = 4


class RequestForeign(StaidError):
    """The request does not come from this console: {detail}"""

    code = "ST-612"
    hint = "Open the console itself and try again there; nothing was changed."
    exit_code = 4


class AddressUnusable(StaidError):
    """Nothing can be served on {address}: {detail}"""

    code = "ST-613"
    hint = "Name another port, for example --port 8421, or 0 for a free one."
    exit_code = 2
