"""The figures of docs/BENCHMARKS.md, measured as ratios: `python -m tests.bench` writes the page.

Machines are noisy and differ, so nothing is compared with a number of seconds from another day: what is
compared runs in turns, A B A B …, in one run of this program.

    blocks.py    what is run in turns, and the ratios that come of it
    stage.py     databases and projects to measure on, and the program as a process
    help.py      `upgrader --help` beside `alembic --help`
    rate.py      a column for each workspace: the program, a psycopg loop, Alembic
    pending.py   a run that finds nothing to do
    memory.py    a run over very many workspaces
    locks.py     how long DDL that cannot get its lock holds others
    machine.py   what it was measured on
    page.py      the page
"""
