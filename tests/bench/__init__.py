"""The figures of docs/BENCHMARKS.md, measured as ratios: `python -m tests.bench` writes the page.

Machines are noisy and differ, so nothing is compared with a number of seconds from another day: what is
compared runs in turns, A B A B …, in one run of this program.

    blocks.py        what is run in turns, and the ratios that come of it
    stage.py         databases and projects to measure on, and the program as a process
    findings.py      lines of the table, and the notes below it
    peers/           whom the program is measured against
    proxy.py         a database that is as far away as a network makes it

    help.py          `upgrader --help` beside `alembic --help`
    columns.py       a column for each workspace: the program beside its peers, one and four at a time
    skew.py          the demo's tenants of very different sizes
    pending.py       a run that finds nothing to do (long_history.py makes its database)
    backfill.py      a column of a large table beside one plain UPDATE (large_table.py makes it)
    client.py        an application at work while a backfill runs
    memory.py        a run over very many workspaces
    tracking.py      sessions of the ORM that tell what they do
    locks.py         how long DDL that cannot get its lock holds others

    machine.py       what it was measured on
    page.py          the page
"""
