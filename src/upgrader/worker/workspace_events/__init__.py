"""Workspace events: what happens to the records of a workspace, told to whoever wants to know.

    batch.py         what is told: actions, records, batches
    subscriber.py    `@on_event`, and what a handler declares with it
    emitter.py       takes batches and hands them to the handlers
    tracking.py      batches out of what SQLAlchemy's ORM does
    delivery.py      handlers that run as jobs of a queue

None of it needs a queue installed as long as no handler is durable.
"""
