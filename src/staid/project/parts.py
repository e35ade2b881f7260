"""What stands behind the ports of one project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, cast

from staid.adapters.system import SystemClock, TimeSortedIds, operator, worker_name
from staid.domain.document import Source
from staid.domain.errors import SettingsInvalid, SourceNotFound
from staid.domain.ports import Clock, ModelClient
from staid.domain.principal import Principal
from staid.domain.text import terms
from staid.project.journal_key import journal_key
from staid.project.settings import AgentSettings, Settings, SourceSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import ThreadPoolExecutor

    from staid.adapters.identity.directory import FileDirectory
    from staid.domain.exports import Attribute, Sink
    from staid.domain.ports import Embedder, Index
    from staid.gates.rules import Policy
    from staid.gates.tool import Tool
    from staid.grounding.calibration import Calibration
    from staid.runtime.agent import Asker
    from staid.runtime.gate import Gate
    from staid.runtime.parts import AgentSpec, Parts
    from staid.store.corpus import SqlCorpus
    from staid.store.engine import Store
    from staid.store.journal import Journal
    from staid.store.ledger.sql import SqlLedger
    from staid.store.ledger.stops import SqlStops
    from staid.store.outbox import SqlOutbox
    from staid.store.prompts import SqlPrompts
    from staid.store.runs import SqlRecords
    from staid.store.search import SqlSearch
    from staid.tracing.disclosure import Disclosure
    from staid.tracing.redaction import NameFinder


class Declared(Protocol):
    """What a project says of itself, in its settings and in code; `Project` is one."""

    settings: Settings
    tools: dict[str, Tool]

    def agent_settings(self, name: str) -> AgentSettings:
        """Return an agent's settings: `staid.toml` over code over defaults."""
        ...

    def resolve_tools(self, agent: str) -> frozenset[str]:
        """Return an agent's allowlist; raise `ToolUnknown` for a name that is not registered."""
        ...


class Wiring:
    """Opens each part on first use; one instance per project and process."""

    def __init__(self, declared: Declared) -> None:
        """Touch nothing yet."""
        self._declared = declared
        self.settings = declared.settings
        self.clock: Clock = SystemClock()
        self.ids = TimeSortedIds()
        self.worker = worker_name()
        self.via: str | None = operator()
        """The operating-system user, recorded beside `--as`; None where identity was verified."""

    @cached_property
    def store(self) -> Store:
        """The store, at this release's schema."""
        from staid.store.engine import Store
        from staid.store.schema import prepare

        waits = self.settings.project.busy_timeout
        store = Store(self.settings.store_url(), busy_seconds=waits)
        prepare(store)
        return store

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """The bounded pool through which async code calls the store."""
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(max_workers=8, thread_name_prefix="staid")

    def close(self) -> None:
        """Close what was opened."""
        if "store" in self.__dict__:
            self.store.close()
        if "pool" in self.__dict__:
            self.pool.shutdown(wait=True)

    @property
    def run_store(self) -> Store:
        """Where runs, calls and their facts are kept: the same store, but for a sandbox."""
        return self.store

    @cached_property
    def journal(self) -> Journal:
        """The journal, under the key kept outside the database."""
        from staid.store.journal import Journal

        return Journal(self.run_store, self._journal_key())

    @cached_property
    def records(self) -> SqlRecords:
        """Runs, conversations and hand-offs."""
        from staid.store.runs import SqlRecords

        return SqlRecords(self.run_store, self.journal, self.sink_names)

    @property
    def sink_names(self) -> tuple[str, ...]:
        """The sinks that every finished run is due at; none in a sandbox."""
        return tuple(sorted(self.settings.sinks))

    @cached_property
    def outbox(self) -> SqlOutbox:
        """What is on its way to the sinks."""
        from staid.store.outbox import SqlOutbox

        return SqlOutbox(self.run_store)

    def sink(self, name: str) -> Sink:
        """Return one sink, its secrets resolved now; raise `SecretMissing`, `SinkNotFound`."""
        from staid.project.sinks import open_sink

        return open_sink(self.settings, name)

    def disclosure(self, name: str) -> Disclosure:
        """Return what may leave for a sink."""
        from staid.project.sinks import disclosure_of

        return disclosure_of(self.settings.sinks[name], self._journal_key(), self._name_finder)

    @cached_property
    def _name_finder(self) -> NameFinder | None:
        from staid.project.sinks import name_finder

        return name_finder(self.settings)

    def sink_attributes(self, name: str) -> Mapping[str, Attribute]:
        """Return what every span for a sink bears."""
        from staid.project.sinks import attributes_of

        return attributes_of(self.settings, name)

    @cached_property
    def prompts(self) -> SqlPrompts:
        """Every text that a model was sent, by name and version."""
        from staid.store.prompts import SqlPrompts

        return SqlPrompts(self.run_store, self.clock)

    @cached_property
    def search(self) -> SqlSearch:
        """What finds runs."""
        from staid.store.search import SqlSearch

        return SqlSearch(self.run_store)

    @cached_property
    def corpus(self) -> SqlCorpus:
        """Documents, chunks and labels."""
        from staid.store.corpus import SqlCorpus

        return SqlCorpus(self.store)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedding model."""
        from staid.knowledge.embed.minilm import MiniLM

        return MiniLM()

    @cached_property
    def index(self) -> Index:
        """The search that fits the store."""
        if self.store.dialect == "postgresql":
            from staid.knowledge.index.pgvector import PgVectorIndex

            return PgVectorIndex(self.store, self.embedder.id, self.embedder.dimension)
        from staid.knowledge.index.embedded import EmbeddedIndex

        cache = self.settings.state / "index"
        return EmbeddedIndex(self.store, self.embedder.id, self.embedder.dimension, cache)

    @cached_property
    def directory(self) -> FileDirectory:
        """Who exists; nobody where the project has no directory."""
        from staid.adapters.identity.directory import FileDirectory

        file = self.settings.directory.file
        return FileDirectory(self.settings.path(file) if file else None)

    @cached_property
    def ledger(self) -> SqlLedger:
        """The record of tool calls."""
        from staid.store.ledger.sql import SqlLedger

        return SqlLedger(self.run_store, self.journal, self.clock, self.ids)

    @cached_property
    def gate(self) -> Gate:
        """The only way to a handler."""
        from staid.runtime.gate import Gate

        approvers = frozenset(self.settings.gates.approvers)
        return Gate(
            self._declared.tools,
            self.ledger,
            self.clock,
            self.ids,
            self.worker,
            stopped=self.stopped_elsewhere,
            approvers=approvers,
            policy=self.policy,
        )

    def stopped_elsewhere(self) -> frozenset[str]:
        """Return what is stopped beside what the store of the runs says: nothing."""
        return frozenset()

    @cached_property
    def stops(self) -> SqlStops:
        """The kill switch."""
        from staid.store.ledger.stops import SqlStops

        return SqlStops(self.run_store, self.journal, self.clock, self.ids)

    @cached_property
    def policy(self) -> Policy:
        """The rules over tool calls; raise `PolicyInvalid`, `PolicyUnreadable`."""
        from staid.gates.rules import NO_POLICY
        from staid.project.policy_file import read_policy

        file = self.settings.gates.policy
        if file is None:
            return NO_POLICY
        return read_policy(self.settings.path(file), self._declared.tools).required()

    @cached_property
    def parts(self) -> Parts:
        """What every turn shares."""
        from staid.adapters.models.prompt import packaged
        from staid.runtime.parts import Floor, Parts
        from staid.runtime.pinning import Pinning

        grounding = self.settings.grounding
        return Parts(
            records=self.records,
            index=self.index,
            corpus=self.corpus,
            embedder=self.embedder,
            gate=self.gate,
            clock=self.clock,
            ids=self.ids,
            pool=self.pool,
            calibration=self.calibration,
            floor=Floor(grounding.floor, grounding.signal),
            prompts=Pinning(self.prompts, packaged()),
            worker=self.worker,
        )

    def calibration(self) -> Calibration | None:
        """Return the calibration in force: the packaged one for this embedder."""
        from staid.grounding.calibration import packaged, required

        if self.settings.grounding.signal == "similarity":
            return packaged(self.embedder.id)
        return required(self.embedder.id)

    def identify(self, asker: str | Principal, groups: Sequence[str] | None) -> Asker:
        """Resolve who asks, as of now; raise `AskerUnknown`, `AskerDisabled`, `AskerMalformed`."""
        from staid.runtime.agent import Asker

        if isinstance(asker, Principal):
            return Asker(asker, via=None)
        if groups is not None:
            principal = self.directory.asserted(asker, groups)
            return Asker(principal, frozenset(groups), self.via)
        return Asker(self.directory.resolve(asker), None, self.via)

    def principal(self, token: str) -> Principal:
        """Return a principal of the directory with its groups, as of now."""
        return self.directory.resolve(token)

    def agent_spec(self, name: str) -> AgentSpec:
        """Return an agent as configured now."""
        from staid.runtime.parts import AgentSpec

        settings = self._declared.agent_settings(name)
        file = settings.instructions
        return AgentSpec(
            name=name,
            model=self._model(name),
            instructions=self._read(file, f"agents.{name}.instructions") if file else "",
            instructions_name=file or "none",
            tools=self._declared.resolve_tools(name),
            may_read=frozenset(settings.may_read) if settings.may_read is not None else None,
            canned=self._canned(settings.canned),
        )

    def source(self, name: str) -> tuple[Source, SourceSettings]:
        """Return a configured source by name; raise `SourceNotFound`."""
        settings = self.settings.sources.get(name)
        if settings is None:
            raise SourceNotFound(source=name)
        return Source(name, settings.vetted, settings.owner), settings

    def _model(self, name: str) -> Callable[[], ModelClient]:
        from staid.adapters.models.registry import model_source

        settings = self._declared.agent_settings(name)
        return model_source(
            settings.model,
            base=self.settings.directory_path,
            timeout=settings.timeout,
            max_cost=settings.max_cost,
            fallback=settings.fallback,
        )

    def _canned(self, file: str | None) -> tuple[tuple[str, str], ...]:
        if file is None:
            return ()
        import yaml

        replies: object = yaml.safe_load(self._read(file, "canned")) or {}
        if not isinstance(replies, dict):
            raise SettingsInvalid(key="canned", file=file, detail="it is not question: reply")
        pairs = cast("dict[object, object]", replies).items()
        return tuple((normalised(str(question)), str(reply)) for question, reply in pairs)

    def _read(self, file: str, key: str) -> str:
        try:
            return self.settings.path(file).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsInvalid(key=key, file=file, detail=str(error)) from error

    def _journal_key(self) -> bytes:
        path = self.settings.state / "journal.key"
        return journal_key(path, may_make=lambda: not self._has_facts())

    def _has_facts(self) -> bool:
        from sqlalchemy import select

        from staid.store import tables

        with self.run_store.read() as connection:
            return connection.execute(select(tables.journal.c.run).limit(1)).first() is not None


def normalised(said: str) -> str:
    """Return the form in which small talk is compared: its terms, else its letters."""
    return " ".join(terms(said)) or said.strip().lower()
