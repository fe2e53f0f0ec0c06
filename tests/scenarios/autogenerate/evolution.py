"""A shop before and after: everything that a comparison sees is added, changed and dropped."""

BEFORE = """
import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Column, Computed, ForeignKey, Identity, Index, MetaData, Table, text
from sqlalchemy.dialects import postgresql as pg

metadata = MetaData()
status = pg.ENUM("open", "paid", name="status", schema="core", metadata=metadata)

customer = Table(
    "customer",
    metadata,
    Column("id", sa.BigInteger, primary_key=True),
    Column("name", sa.String(20), comment="before: 100%"),
    Column("email", sa.Text, nullable=False),
    Column("score", sa.Text, server_default="0"),
    Column("net", sa.Integer),
    Column("gross", sa.Integer, Computed("net * 2", persisted=True)),
    Column("note", sa.Text, server_default="it's :gone", comment="it's going"),
    Column("counter", sa.BigInteger, nullable=False),
    Column("kind", sa.Text, server_default="a"),
    Column("collated", sa.Text),
    Index("customer_email_idx", "email"),
    Index("customer_note_idx", text("lower(note)"), postgresql_where=text("note <> 'a\\\\:b%'")),
    Index("customer_gross_idx", "gross"),
    CheckConstraint("net > 0", name="customer_net_check"),
    CheckConstraint("score <> ''", name="customer_score_check"),
    sa.UniqueConstraint("name", "kind", name="customer_name_key"),
    schema="core",
    comment="customers",
)
old = Table(
    "old",
    metadata,
    Column("id", sa.Integer, primary_key=True),
    Column("customer_id", ForeignKey("core.customer.id", name="old_customer_fkey")),
    Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    Column("during", pg.TSTZRANGE),
    Column("number", sa.BigInteger, Identity(always=True)),
    Index("old_at_idx", sa.text("at DESC"), unique=True),
    CheckConstraint("id > 0", name="old_id_check"),
    pg.ExcludeConstraint(("during", "&&"), name="old_during_excl", using="gist"),
    schema="core",
    comment="it's old, 100%",
)
older = Table(
    "older",
    metadata,
    Column("day", sa.Date, primary_key=True),
    Column("old_id", ForeignKey("core.old.id", name="older_old_fkey")),
    schema="core",
    postgresql_partition_by="RANGE (day)",
)
invoice = Table(
    "invoice",
    metadata,
    Column("id", sa.BigInteger, primary_key=True),
    Column("customer_id", sa.BigInteger),
    Column("old_id", ForeignKey("core.old.id", name="invoice_old_fkey")),
    Column("status", status, server_default="open"),
    schema="core",
)
"""

AFTER = """
import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Column, Computed, ForeignKey, Identity, Index, MetaData, Table, text
from sqlalchemy.dialects import postgresql as pg

metadata = MetaData()
status = pg.ENUM("draft", "open", "paid", "it's :late", name="status", schema="core", metadata=metadata)
kind = pg.ENUM("a", "b", name="kind", schema="core", metadata=metadata)

customer = Table(
    "customer",
    metadata,
    Column("id", sa.BigInteger, primary_key=True),
    Column("name", sa.Text, nullable=False, comment="after: it's 50%, :x"),
    Column("email", sa.Text),
    Column("score", sa.Integer, server_default=text("7")),
    Column("net", sa.BigInteger),
    Column("gross", sa.Integer, Computed("net * 2", persisted=True)),
    Column("counter", sa.BigInteger, Identity(always=False), nullable=False),
    Column("kind", kind, server_default="b"),
    Column("collated", sa.Text(collation="C")),
    Column("currency", sa.CHAR(3), nullable=False, comment="it's required"),
    Column("city", sa.Text, server_default="it's :x 100%", nullable=False),
    Column("wanted", pg.ARRAY(kind)),
    Index("customer_email_idx", sa.func.lower(text("email")), unique=True),
    Index("customer_gross_idx", "gross"),
    Index("customer_city_idx", "city", postgresql_where=text("city <> 'a\\\\:b%'"), postgresql_include=["name"]),
    Index("customer_wanted_idx", "wanted", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
    CheckConstraint("net > 1", name="customer_net_check"),
    CheckConstraint("city <> '\\\\:x%'", name="customer_city_check"),
    sa.UniqueConstraint("email", "kind", name="customer_email_key", postgresql_nulls_not_distinct=True),
    sa.UniqueConstraint("currency", "id", name="customer_currency_key", deferrable=True, initially="DEFERRED"),
    schema="core",
    comment="all :customers",
)
invoice = Table(
    "invoice",
    metadata,
    Column("id", sa.BigInteger, primary_key=True),
    Column("customer_id", ForeignKey("core.customer.id", name="invoice_customer_fkey", ondelete="CASCADE")),
    Column("status", status, server_default="paid"),
    Column("currency", sa.CHAR(3)),
    CheckConstraint("id > 0", name="invoice_id_check"),
    schema="core",
)
line = Table(
    "line",
    metadata,
    Column("id", sa.BigInteger, primary_key=True),
    Column("invoice_id", ForeignKey("core.invoice.id", name="line_invoice_fkey")),
    Index("line_invoice_idx", "invoice_id"),
    schema="billing",
)
"""

ROWS = """
insert into core.customer (id, name, email, score, net, note, counter, kind)
    select n, 'name ' || n, 'mail ' || n, n::text, n + 1, 'note', n, 'a' from generate_series(1, 100) n;
insert into core.old (id, customer_id) select 1, 1;
insert into core.invoice (id, customer_id, old_id) select n, n, 1 from generate_series(1, 100) n;
"""
