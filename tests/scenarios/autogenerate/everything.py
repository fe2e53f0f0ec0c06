"""Models with everything of PostgreSQL that SQLAlchemy can describe."""

import uuid

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Column, Computed, ForeignKey, Identity, Index, MetaData, Table, text
from sqlalchemy.dialects import postgresql as pg

metadata = MetaData(
    naming_convention={
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "pk": "%(table_name)s_pkey",
    }
)

mood = pg.ENUM("sad", "it's ok", "a:b", "100%", name="mood", schema="core", metadata=metadata)
size = sa.Enum("S", "M", 'X"L', name="Size", schema="core")
positive = pg.DOMAIN(
    "positive", sa.Integer(), check=text("VALUE > 0"), default=text("1"), not_null=False, schema="core"
)
label = pg.DOMAIN("label", sa.Text(), collation="C", schema="other")
numbers = sa.Sequence("invoice_numbers", start=1000, increment=10, schema="core", metadata=metadata)

types = Table(
    "types",
    metadata,
    Column("id", sa.BigInteger, Identity(always=True, start=5, increment=2, cache=3), primary_key=True),
    Column("a_smallint", sa.SmallInteger),
    Column("an_integer", sa.Integer),
    Column("a_bigint", sa.BigInteger),
    Column("a_numeric", sa.Numeric),
    Column("a_price", sa.Numeric(12, 2)),
    Column("a_real", pg.REAL),
    Column("a_double", pg.DOUBLE_PRECISION),
    Column("a_float", sa.Float(20)),
    Column("a_boolean", sa.Boolean),
    Column("a_char", sa.CHAR(3)),
    Column("a_varchar", sa.String(50)),
    Column("a_varchar_c", sa.String(50, collation="C")),
    Column("a_text", sa.Text),
    Column("a_text_posix", sa.Text(collation="POSIX")),
    Column("a_unicode", sa.Unicode),
    Column("bytes", sa.LargeBinary),
    Column("a_date", sa.Date),
    Column("a_time", sa.Time),
    Column("a_timetz", pg.TIME(timezone=True, precision=3)),
    Column("a_timestamp", sa.DateTime),
    Column("a_timestamptz", pg.TIMESTAMP(timezone=True, precision=3)),
    Column("an_interval", sa.Interval),
    Column("a_day_interval", pg.INTERVAL(fields="DAY TO SECOND", precision=2)),
    Column("a_uuid", sa.Uuid),
    Column("a_json", sa.JSON),
    Column("a_jsonb", pg.JSONB),
    Column("a_jsonpath", pg.JSONPATH),
    Column("an_array", pg.ARRAY(sa.Integer)),
    Column("a_matrix", pg.ARRAY(sa.Text, dimensions=2)),
    Column("moods", pg.ARRAY(mood)),
    Column("an_inet", pg.INET),
    Column("a_cidr", pg.CIDR),
    Column("a_macaddr", pg.MACADDR),
    Column("a_macaddr8", pg.MACADDR8),
    Column("money", pg.MONEY),
    Column("an_oid", pg.OID),
    Column("a_regclass", pg.REGCLASS),
    Column("a_regconfig", pg.REGCONFIG),
    Column("bits", pg.BIT(5)),
    Column("some_bits", pg.BIT(7, varying=True)),
    Column("a_tsvector", pg.TSVECTOR),
    Column("a_tsquery", pg.TSQUERY),
    Column("an_int4range", pg.INT4RANGE),
    Column("an_int8range", pg.INT8RANGE),
    Column("a_numrange", pg.NUMRANGE),
    Column("a_daterange", pg.DATERANGE),
    Column("a_tsrange", pg.TSRANGE),
    Column("a_tstzrange", pg.TSTZRANGE),
    Column("an_int4multirange", pg.INT4MULTIRANGE),
    Column("a_datemultirange", pg.DATEMULTIRANGE),
    Column("a_tstzmultirange", pg.TSTZMULTIRANGE),
    Column("a_mood", mood),
    Column("a_size", size),
    Column("a_positive", positive),
    Column("a_label", label),
    Column("not_native", sa.Enum("x", "y", name="not_native", native_enum=False, create_constraint=True)),
    schema="core",
    comment='Every type: it\'s 100% "quoted", a:colon, :bind, back\\slash\nand a second line',
)

defaults = Table(
    "defaults",
    metadata,
    Column("id", sa.Integer, primary_key=True),
    Column("a_text", sa.Text, server_default="it's 100% :x", nullable=False, comment="it's :bound, 5%"),
    Column("a_path", sa.Text, server_default="C:\\dir\\:x"),
    Column("a_number", sa.Integer, server_default=text("40 + 2"), nullable=False),
    Column("a_mood", mood, server_default="a:b", nullable=False),
    Column("a_moment", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    Column("a_uuid", sa.Uuid, server_default=text("gen_random_uuid()"), nullable=False),
    Column("a_json", pg.JSONB, server_default=text("""'{"a": [1, "b:c"], "%": "x"}'::jsonb""")),
    Column("an_array", pg.ARRAY(sa.Text), server_default=text("'{}'::text[]")),
    Column("a_flag", sa.Boolean, server_default=sa.true(), nullable=False),
    Column("a_constant_uuid", sa.Uuid, server_default=str(uuid.UUID(int=7))),
    Column("a_number_of_a_sequence", sa.BigInteger, server_default=numbers.next_value()),
    Column("twice", sa.Integer, Computed("a_number * 2", persisted=True)),
    Column("by_default", sa.BigInteger, Identity(always=False, minvalue=1, maxvalue=1000, cycle=True)),
    schema="core",
)

tenant = Table(
    "tenant",
    metadata,
    Column("region", sa.Text, primary_key=True),
    Column("id", sa.Integer, primary_key=True, autoincrement=False),
    Column("e-mail", sa.Text, unique=True),
    Column("Mixed", sa.Text),
    sa.UniqueConstraint("Mixed", "e-mail", name="tenant names", postgresql_nulls_not_distinct=True),
    sa.UniqueConstraint("Mixed", name="tenant_deferred", deferrable=True, initially="DEFERRED"),
    CheckConstraint("\"Mixed\" <> '\\:x' and \"e-mail\" like '%@%'", name="mail"),
    schema="other",
)

invoice = Table(
    "invoice",
    metadata,
    Column("id", sa.BigInteger, primary_key=True),
    Column("number", sa.Text, CheckConstraint("number <> ''", name="number"), nullable=False),
    Column("region", sa.Text),
    Column("tenant_id", sa.Integer),
    Column("parent_id", ForeignKey("core.invoice.id", ondelete="SET NULL", name="invoice_parent_fkey")),
    Column("last_line_id", ForeignKey("core.line.id", name="invoice_last_line_fkey", use_alter=True)),
    Column("during", pg.TSTZRANGE),
    Column("tags", pg.ARRAY(sa.Text)),
    Column("document", pg.JSONB),
    sa.ForeignKeyConstraint(
        ["region", "tenant_id"],
        ["other.tenant.region", "other.tenant.id"],
        name="invoice_tenant_fkey",
        onupdate="CASCADE",
        deferrable=True,
        initially="DEFERRED",
        match="FULL",
    ),
    pg.ExcludeConstraint(("during", "&&"), name="invoice_during_excl", using="gist", where=text("id > 0")),
    Index("invoice_number_idx", "number", unique=True),
    Index("invoice_lower_idx", sa.func.lower(text("number")), postgresql_where=text("number <> '100%\\:x'")),
    Index("invoice_open_idx", "tenant_id", postgresql_where=text("parent_id is null")),
    Index("invoice_tags_idx", "tags", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
    Index(
        "invoice_path_idx", "document", postgresql_using="gin", postgresql_ops={"document": "jsonb_path_ops"}
    ),
    Index("invoice_carry_idx", "region", postgresql_include=["number", "tenant_id"]),
    Index("invoice_fill_idx", text("tenant_id DESC NULLS LAST"), postgresql_with={"fillfactor": 70}),
    Index("invoice_pattern_idx", "region", postgresql_ops={"region": "text_pattern_ops"}),
    Index("invoice_distinct_idx", "tenant_id", "region", unique=True, postgresql_nulls_not_distinct=True),
    Index("invoice_collated_idx", text('region COLLATE "C"')),
    Index("invoice_brin_idx", "id", postgresql_using="brin"),
    Index("invoice_hash_idx", "number", postgresql_using="hash"),
    schema="core",
)

line = Table(
    "line",
    metadata,
    Column("id", sa.BigInteger, primary_key=True),
    Column(
        "invoice_id",
        ForeignKey("core.invoice.id", name="line_invoice_fkey", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("flag", sa.Boolean(create_constraint=False)),
    schema="core",
)

measured = Table(
    "measured",
    metadata,
    Column("day", sa.Date, nullable=False),
    Column("value", sa.Integer),
    Index("measured_day_idx", "day"),
    schema="core",
    postgresql_partition_by="RANGE (day)",
)

stored = Table(
    "Stored Table",
    metadata,
    Column("id", sa.Integer, primary_key=True),
    Column("%", sa.Integer),
    Column("a:b", sa.Integer),
    schema="core",
    postgresql_with={"fillfactor": 80},
)

unlogged = Table(
    "unlogged", metadata, Column("id", sa.Integer, primary_key=True), schema="other", prefixes=["UNLOGGED"]
)

plain = Table("in_public", metadata, Column("id", sa.Integer, primary_key=True), Column("of", size))
sa.event.listen(plain, "after_create", sa.DDL("ALTER TABLE in_public SET (autovacuum_enabled = false)"))
