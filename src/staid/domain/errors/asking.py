"""Errors 3xx: asking and models."""

from __future__ import annotations

from staid.domain.errors.base import StaidError


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
