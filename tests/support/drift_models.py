"""The models of the drift tests: one table for nearly everything that SQLAlchemy's metadata can describe."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    Sequence,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import DOMAIN, ENUM, INT4RANGE, JSONB, ExcludeConstraint

metadata = MetaData(schema="core")

state = ENUM("open", "paid", name="state", schema="core", metadata=metadata)
code = DOMAIN("code", Text(), schema="core", metadata=metadata, check=text("VALUE ~ '^[A-Z]+$'"))
number = Sequence("invoice_number", schema="core", metadata=metadata, start=1000, increment=2)

customer = Table(
    "customer",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("note", Text),
)

invoice = Table(
    "invoice",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("customer_id", ForeignKey(customer.c.id, ondelete="CASCADE"), nullable=False),
    Column("number", Integer, number, server_default=number.next_value()),
    Column("state", state, nullable=False, server_default="open"),
    Column("code", code),
    Column("title", String(40, collation="C"), nullable=False),
    Column("issued", Date, server_default=func.current_date()),
    Column("net", Numeric(10, 2), nullable=False),
    Column("gross", Numeric(10, 2), Computed("net * 1.2", persisted=True)),
    Column("lines", JSONB, comment="as printed"),
    Column("room", INT4RANGE),
    CheckConstraint("net > 0", name="net_positive"),
    CheckConstraint("state IN ('open', 'paid')"),
    UniqueConstraint("customer_id", "number", name="one_number"),
    ExcludeConstraint(("room", "&&"), name="no_overlap", using="gist"),
    Index("ix_state", "state", postgresql_where=text("net > 100")),
    Index("ix_issued", "issued", postgresql_include=["net"]),
    Index("ix_lines", "lines", postgresql_using="gin"),
    Index("ix_title", func.lower(text("title"))),
    comment="what customers owe",
)

reminder = Table(
    "reminder",
    metadata,
    Column("invoice_id", BigInteger, primary_key=True),
    Column("day", Date, primary_key=True),
    ForeignKeyConstraint(["invoice_id"], ["core.invoice.id"], deferrable=True, initially="DEFERRED"),
)
