"""Finding runs: by what was asked and said, by what they used, by how they ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, func, or_, select, text

from staid.domain.canonical import timestamp
from staid.domain.errors import RunNotFound
from staid.domain.errors.search import TextWithoutWords
from staid.domain.finding import Ended, Impact, RunSearch, Said, Suspect, Touched
from staid.domain.records import RunRecord
from staid.store import tables
from staid.store.engine import Store
from staid.store.projections import TOGETHER
from staid.store.runs import _record as record_of
from staid.store.words import postgres_phrase, sqlite_phrase, words

BEGUN = 8
"""Characters from which on a version may be given in part, as with commits."""

MOST = 500
"""Matches up to which SQLite starts from the words; above, from the newest runs."""


class SqlSearch:
    """Answers from the projections; never scans the journal."""

    def __init__(self, store: Store) -> None:
        """Search in `store`."""
        self._store = store

    def runs(self, search: RunSearch) -> list[RunRecord]:
        """Return the runs that fit, newest first.

        A page goes on behind `after` without gaps or repeats, whatever is recorded meanwhile.
        Raises `TextWithoutWords`, and `RunNotFound` for an unknown `after`.
        """
        run = tables.run.c
        with self._store.read() as connection:
            query = select(tables.run).where(*self._conditions(connection, search))
            if search.after is not None:
                place = select(run.started_at, run.id).where(run.id == search.after)
                if search.asker is not None:  # of somebody else's run not even the time is told
                    place = place.where(run.asker == search.asker)
                last = connection.execute(place).first()
                if last is None:
                    raise RunNotFound(run=search.after)
                # Two comparisons, of which the first uses the index on every engine.
                query = query.where(
                    run.started_at <= last.started_at,
                    or_(run.started_at < last.started_at, run.id < last.id),
                )
            query = query.order_by(run.started_at.desc(), run.id.desc()).limit(search.limit)
            return [record_of(row) for row in connection.execute(query)]

    def said(self, phrase: str, *, to: str | None = None, limit: int = 20) -> list[Said]:
        """Return where these words were asked or said, in the newest runs first.

        `to` names the asker, `limit` counts runs. Raises `TextWithoutWords`.
        """
        run = tables.run.c
        with self._store.read() as connection:
            wanted = RunSearch(text=phrase, asker=to)
            newest = (
                select(run.id)
                .where(*self._conditions(connection, wanted))
                .order_by(run.started_at.desc(), run.id.desc())
                .limit(limit)
            )
            return self._places(connection, phrase, list(connection.execute(newest).scalars()))

    def places(self, phrase: str, runs: Sequence[str]) -> list[Said]:
        """Return where these words were asked or said in these runs, in their order."""
        with self._store.read() as connection:
            return self._places(connection, phrase, runs)

    def _places(self, connection: Connection, phrase: str, runs: Sequence[str]) -> list[Said]:
        said = tables.said.c
        places = (
            select(said.run, said.seq, said.role, said.content)
            .where(said.run.in_(runs), self._spoken(connection, phrase))
            .order_by(said.seq)
        )
        found: dict[str, list[Said]] = {each: [] for each in runs}
        for row in connection.execute(places):
            found[row.run].append(Said(*row))
        return [place for places in found.values() for place in places]

    def impact(self, suspect: Suspect, *, limit: int = 1000) -> Impact:
        """Return the runs and principals that used something; counts are of all of them."""
        used, run = tables.used.c, tables.run.c
        fits = and_(*_fits(suspect))
        touching = select(used.run, func.min(used.at).label("at")).where(fits).group_by(used.run)
        touched = touching.subquery()
        counts = (
            select(run.asker, run.outcome, run.state, func.count())
            .join_from(touched, tables.run, run.id == touched.c.run)
            .group_by(run.asker, run.outcome, run.state)
        )
        newest = (
            select(tables.run, touched.c.at)
            .join_from(touched, tables.run, run.id == touched.c.run)
            .order_by(run.started_at.desc(), run.id.desc())
            .limit(limit)
        )
        with self._store.read() as connection:
            principals: Counter[str] = Counter()
            outcomes: Counter[str] = Counter()
            for asker, outcome, state, runs in connection.execute(counts):
                principals[asker] += runs
                outcomes[outcome or state] += runs
            found = connection.execute(newest).all()
            versions = _versions(connection, fits, [row.id for row in found])
        return Impact(
            runs=principals.total(),
            principals=dict(principals.most_common()),
            outcomes=dict(outcomes.most_common()),
            newest=tuple(
                Touched(record_of(row), versions[row.id], datetime.fromisoformat(row.at))
                for row in found
            ),
        )

    def ended(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        agent: str | None = None,
    ) -> list[Ended]:
        """Return the daily roll-ups, oldest first; whole days, the last one before `until`."""
        rollup = tables.rollup.c
        query = select(tables.rollup).order_by(rollup.day, rollup.agent, rollup.outcome)
        if since is not None:
            query = query.where(rollup.day >= _day(since))
        if until is not None:
            query = query.where(rollup.day < _day(until))
        if agent is not None:
            query = query.where(rollup.agent == agent)
        with self._store.read() as connection:
            return [_ended(row) for row in connection.execute(query)]

    def _conditions(
        self, connection: Connection, search: RunSearch
    ) -> Iterator[ColumnElement[bool]]:
        run = tables.run.c
        for column in (run.asker, run.agent, run.outcome, run.reason, run.state):
            wanted = getattr(search, column.name)
            if wanted is not None:
                yield column == wanted
        if search.since is not None:
            yield run.started_at >= search.since
        if search.until is not None:
            yield run.started_at < search.until
        if search.confidence_below is not None:
            yield run.confidence < search.confidence_below
        for kind in ("rule", "tool", "document"):
            named = getattr(search, kind)
            if named is not None:
                fits = _fits(Suspect(kind=kind, name=named))
                yield run.id.in_(select(tables.used.c.run).where(*fits))
        if search.text is not None:
            said = tables.said.c
            spoken = self._spoken(connection, search.text)
            if "said.id IN" in str(spoken):
                yield run.id.in_(select(said.run).where(spoken))
            else:  # the newest runs are looked at first, and few of them have to be
                yield exists().where(said.run == run.id, spoken)

    def _spoken(self, connection: Connection, phrase: str) -> ColumnElement[bool]:
        """Return the condition on `said`; on SQLite in the form that fits how many there are."""
        asked = words(phrase)
        if not asked:
            raise TextWithoutWords(text=f"“{phrase}”")
        if self._store.dialect == "postgresql":
            return _condition(_POSTGRES, postgres_phrase(asked))
        wanted = sqlite_phrase(asked)
        counted = connection.execute(text(_COUNTED), {"phrase": wanted, "most": MOST}).scalar_one()
        if counted < MOST:
            return _condition(_SELDOM, wanted)
        return _condition(_OFTEN, " ".join(asked))


_POSTGRES = "said.words @@ to_tsquery('simple', :phrase)"
_SELDOM = "said.id IN (SELECT rowid FROM said_words WHERE said_words MATCH :phrase)"
# The index would read every place of a frequent word anew for each row; looking is faster.
_OFTEN = "instr(' ' || said.text, ' ' || :phrase) > 0"
_COUNTED = (
    "SELECT count(*) FROM (SELECT rowid FROM said_words WHERE said_words MATCH :phrase LIMIT :most)"
)


def _condition(form: str, phrase: str) -> ColumnElement[bool]:
    return cast("ColumnElement[bool]", text(form).bindparams(phrase=phrase))


def _fits(suspect: Suspect) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions on `used` for everything that the suspect's name can mean."""
    used = tables.used.c
    yield used.kind == suspect.kind
    name, at, version = suspect.name.rpartition("@")
    meant = _named(suspect.kind, suspect.name)
    if at and name:
        versioned = _named(suspect.kind, name)
        yield or_(meant, and_(versioned, _version(version)))
    else:
        yield meant
    if suspect.since is not None:
        yield used.at >= timestamp(suspect.since)
    if suspect.until is not None:
        yield used.at < timestamp(suspect.until)


def _named(kind: str, name: str) -> ColumnElement[bool]:
    used, ways = tables.used.c, [tables.used.c.name == name]
    if kind == "document":
        for place, letter in enumerate(name):
            if letter == "/" and 0 < place < len(name) - 1:
                ways.append(and_(used.name == name[place + 1 :], used.source == name[:place]))
    return or_(*ways)


def _version(version: str) -> ColumnElement[bool]:
    column = tables.used.c.version
    exactly = column == version
    return (
        or_(exactly, column.startswith(version, autoescape=True))
        if len(version) >= BEGUN
        else exactly
    )


def _versions(
    connection: Connection, fits: ColumnElement[bool], runs: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    used, found = tables.used.c, dict[str, list[str]]()
    for start in range(0, len(runs), TOGETHER):
        some = runs[start : start + TOGETHER]
        query = select(used.run, used.version).where(fits, used.run.in_(some)).distinct()
        for run, version in connection.execute(query.order_by(used.version)):
            found.setdefault(run, []).append(version)
    return {run: tuple(v for v in versions if v) for run, versions in found.items()}


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def _ended(row: Row[Any]) -> Ended:
    return Ended(
        day=row.day,
        agent=row.agent,
        outcome=row.outcome,
        reason=row.reason,
        band=row.band,
        runs=row.runs,
        confidence=row.confidence / 1_000_000,
        latency=row.latency / 1000,
        requests=row.requests,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost=Decimal(row.cost) / 1_000_000_000,
    )
