"""An agent: takes a question from an asker, returns one outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from staid.domain.canonical import digest
from staid.domain.errors import (
    KeyReused,
    QuestionEmpty,
    QuestionTooLong,
    RunBusy,
    RunInterrupted,
    StaidError,
    UsageInvalid,
)
from staid.domain.events import Event, EventKind
from staid.domain.ids import ConversationId, RunId
from staid.domain.label import Label
from staid.domain.message import Message
from staid.domain.outcome import Outcome
from staid.domain.principal import Actor, Principal
from staid.domain.records import RunRecord, RunStart
from staid.runtime import released
from staid.runtime.history import earlier_turns
from staid.runtime.parked import ParkedTurn
from staid.runtime.parts import AgentSpec, Parts
from staid.runtime.recorder import Recorder
from staid.runtime.turn import Turn

LONGEST_QUESTION = 20_000
"""Characters; a longer text is a document, not a question."""
LONGEST_NAME = 200
"""Characters of a key or of a conversation's id."""
CLAIM = timedelta(minutes=15)
"""How long a resume may hold a parked run before another process may take it over."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks one question, resolved as of now."""

    principal: Principal
    asserted: frozenset[str] | None = None
    """The groups that were asserted instead of the directory's; None: the directory decided."""
    via: str | None = None
    """The operating-system user behind `--as`."""

    @property
    def upstream(self) -> frozenset[str]:
        """Tokens of everybody in the causal chain of what is asked."""
        # Whoever typed `--as user:ada` under the account `bob` may not approve as `user:bob`.
        return frozenset({self.principal.token, *([f"user:{self.via}"] if self.via else [])})


class Agent:
    """Answers what it knows, abstains where it does not, and acts only within bounds."""

    def __init__(
        self,
        spec: Callable[[], AgentSpec],
        parts: Callable[[], Parts],
        identify: Callable[[str | Principal, Sequence[str] | None], Asker],
        name: str,
    ) -> None:
        """Look settings and ports up when they are needed, so that import stays cheap."""
        self.name = name
        self._spec = spec
        self._parts = parts
        self._identify = identify

    async def ask(
        self,
        question: str,
        *,
        asker: str | Principal,
        groups: Sequence[str] | None = None,
        conversation: str | None = None,
        key: str | None = None,
    ) -> Outcome:
        """Return exactly one outcome, whose record is durable before this returns.

        `asker` is a token such as `user:ada`; `groups` asserts its groups instead of the directory.
        The same `key` returns the same outcome. Raises `QuestionEmpty`, `QuestionTooLong`,
        `AskerUnknown`, `ConversationNotFound`, `KeyReused`, `RunBusy` and the store's errors.
        """
        text = checked_question(question)
        _check_name("key", key)
        _check_name("conversation", conversation)
        parts, spec = self._parts(), self._spec()
        who = await parts.off_loop(self._identify, asker, groups)
        history = await self._history(parts, spec, who, conversation)
        turn = self._turn(parts, spec, text, who, history, conversation)
        start, events = self._begin(parts, turn, who, key)
        earlier = await parts.off_loop(parts.records.begin, start, events)
        if earlier is not None and await self._given_up(parts, earlier):
            earlier = await parts.off_loop(parts.records.begin, start, events)
        if earlier is not None:
            return await self._repeated(parts, earlier, text)
        return await self._finish(parts, turn)

    def ask_sync(
        self,
        question: str,
        *,
        asker: str | Principal,
        groups: Sequence[str] | None = None,
        conversation: str | None = None,
        key: str | None = None,
    ) -> Outcome:
        """Do what `ask` does, for scripts without an event loop."""
        return asyncio.run(
            self.ask(question, asker=asker, groups=groups, conversation=conversation, key=key)
        )

    async def resume(self, run: str) -> Outcome:
        """Carry a parked run on and return its outcome, or Pending while somebody has to decide.

        One process at a time; raises `RunBusy` for the second, `RunNotFound` for an unknown run.
        """
        parts = self._parts()
        record = await parts.off_loop(parts.records.run, run)
        if record.state == "released":
            return released.outcome_of(run, await parts.off_loop(parts.records.rows, run))
        now = parts.clock.now()
        # Of its own for every resume: two in one process must not both carry a run on.
        claim = f"{parts.worker}/{parts.ids.new('res')}"
        stored = await parts.off_loop(parts.records.unpark, record.run, claim, now, now + CLAIM)
        try:
            parked = ParkedTurn.from_json(stored)
            turn = await self._unparked(parts, record, parked)
            return await turn.carry_on(parked)
        except (Exception, asyncio.CancelledError):
            with suppress(StaidError):  # the claim lapses by itself, and the first error says more
                await parts.off_loop(parts.records.set_down, record.run, claim)
            raise

    async def _unparked(self, parts: Parts, record: RunRecord, parked: ParkedTurn) -> Turn:
        """Return the parked turn: who asks, and what they may still read, is as of now."""
        spec = self._spec()
        groups = sorted(parked.asserted) if parked.asserted is not None else None
        who = await parts.off_loop(self._identify, parked.asker, groups)
        history = await self._history(parts, spec, who, parked.conversation, record.run)
        turn = self._turn(parts, spec, parked.question, who, history, parked.conversation)
        turn.run = record.run
        turn.upstream = parked.upstream
        turn.messages = [*history, *_since_question(parked.messages)]
        return turn

    async def _history(
        self,
        parts: Parts,
        spec: AgentSpec,
        who: Asker,
        conversation: str | None,
        before: str | None = None,
    ) -> list[Message]:
        if conversation is None:
            return []
        return await parts.off_loop(
            earlier_turns,
            parts.records,
            parts.corpus,
            conversation,
            who.principal,
            spec.may_read,
            before,
        )

    def _turn(
        self,
        parts: Parts,
        spec: AgentSpec,
        question: str,
        who: Asker,
        history: list[Message],
        conversation: str | None,
    ) -> Turn:
        return Turn(
            parts=parts,
            agent=spec,
            run=RunId(parts.ids.new("run")),
            conversation=ConversationId(conversation or parts.ids.new("cnv")),
            question=question,
            principal=who.principal,
            upstream=who.upstream | {f"agent:{self.name}"},
            messages=[*history, Message("user", question)],
            recorder=Recorder(parts.clock, who.principal.token),
            asserted=who.asserted,
        )

    def _begin(
        self, parts: Parts, turn: Turn, who: Asker, key: str | None
    ) -> tuple[RunStart, list[Event]]:
        start = RunStart(
            run=turn.run,
            conversation=turn.conversation,
            agent=self.name,
            asker=who.principal.token,
            at=parts.clock.now(),
            key=key,
            question_digest=digest(turn.question),
        )
        turn.recorder.note(
            EventKind.RUN_STARTED,
            {
                "agent": self.name,
                "conversation": turn.conversation,
                "keyed": key is not None,
                "characters": len(turn.question),
            },
            body={"question": turn.question, "asker": who.principal.token},
            label=Label.of([[who.principal.token]]),
            actor=Actor("human", who.principal.token, who.via),
        )
        return start, turn.recorder.drain()

    async def _finish(self, parts: Parts, turn: Turn) -> Outcome:
        try:
            return await turn.ask()
        except (Exception, asyncio.CancelledError) as error:
            await self._fail(parts, turn, error)
            raise

    async def _fail(self, parts: Parts, turn: Turn, error: BaseException) -> None:
        """Record that the run ended without an outcome; what it already did stays recorded."""
        now = parts.clock.now()
        try:
            drained, code = turn.recorder.drain(), _code(error)
            await parts.off_loop(parts.records.fail, turn.run, now, drained, code)
        except StaidError:
            return  # the store is what failed: the first error says more than this one

    async def _given_up(self, parts: Parts, earlier: RunRecord) -> bool:
        """Free the key of a run that was cut off before it could act; True when it is free."""
        if not self._overdue(parts, earlier) or await parts.off_loop(
            parts.records.acted, earlier.run
        ):
            return False
        now = parts.clock.now()
        await parts.off_loop(parts.records.fail, earlier.run, now, [], RunInterrupted.code)
        return True

    def _overdue(self, parts: Parts, earlier: RunRecord) -> bool:
        return earlier.state == "running" and parts.clock.now() - earlier.started_at > CLAIM

    async def _repeated(self, parts: Parts, earlier: RunRecord, question: str) -> Outcome:
        if earlier.question_digest != digest(question):
            raise KeyReused(key="of this question")
        if earlier.state == "failed" or self._overdue(parts, earlier):
            raise RunInterrupted(run=earlier.run)
        if earlier.state not in {"released", "parked"}:
            raise RunBusy(run=earlier.run)
        rows = await parts.off_loop(parts.records.rows, earlier.run)
        return released.outcome_of(earlier.run, rows)


def _code(error: BaseException) -> str:
    """Return what a failure is called: never its words, which can be somebody's."""
    return error.code if isinstance(error, StaidError) else type(error).__name__


def _since_question(messages: Sequence[Message]) -> Sequence[Message]:
    asked = [place for place, message in enumerate(messages) if message.role == "user"]
    return messages[asked[-1] :] if asked else messages


def _check_name(what: str, name: str | None) -> None:
    if name is not None and not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
        detail = f"a {what} has 1 to {LONGEST_NAME} printable characters"
        raise UsageInvalid(detail=detail, hint=f"Leave the {what} out, or write it so.")


def checked_question(question: str) -> str:
    """Return the question without outer white space; raise a coded error if it cannot be asked."""
    text = question.strip()
    if not text:
        raise QuestionEmpty
    if len(text) > LONGEST_QUESTION:
        raise QuestionTooLong(characters=len(text), limit=LONGEST_QUESTION)
    # A lone surrogate (from a byte that is no UTF-8) can neither be hashed nor stored.
    return text.replace("\x00", " ").encode("utf-8", "replace").decode("utf-8")
