"""The queue: Procrastinate's tables in a schema of our own, and what is built on them.

connection.py       where the queue is
layout.py           its schema, brought up to date
job_queue.py        adding jobs; needs no Procrastinate
administration.py   looking at jobs, trying them again, cancelling them; neither does this
handlers.py         which method handles which job
dispatch.py         a job on its way to its handler
consumer.py         the worker's part: takes jobs, gives back those of dead workers, deletes old ones
"""
