"""The one metadata, and the column types that SQLite and PostgreSQL share."""

from __future__ import annotations

from sqlalchemy import JSON as PLAIN
from sqlalchemy import BigInteger, DateTime, Integer, MetaData
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

NUMBER = BigInteger().with_variant(Integer, "sqlite")
JSON = PLAIN().with_variant(JSONB, "postgresql")
TIME = DateTime(timezone=True)
