"""Keys of the advisory locks: one set per database and history schema."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LockKeys:
    """64-bit keys of the product's advisory locks (they are per database by themselves).

    Attributes:
        run: held by the one run at work, on a connection that runs no command.
        fence: held shared by every connection that runs commands; free again only when the last statement
            of a dead run has ended.
        barrier: held shared by each transaction that enrols a workspace, exclusively while a barrier is passed.
        folding: held by whoever folds old attempts, for a batch.
        schema: of the history.
    """

    run: int
    fence: int
    barrier: int
    folding: int
    schema: str

    @classmethod
    def of(cls, schema: str) -> LockKeys:
        """Derive the keys from the name of the history schema."""
        purposes = ("run", "fence", "barrier", "folding")
        run, fence, barrier, folding = (_key(f"upgrader:{purpose}:{schema}") for purpose in purposes)
        return cls(run, fence, barrier, folding, schema)

    def workspace(self, workspace_id: str) -> int:
        """Give the key that whoever works on a workspace holds: in each step's transaction, or as a session."""
        # Beside the others' SHA-256: OpenSSL's way to it is long, and this one is gone once for each workspace.
        text = f"upgrader:workspace:{self.schema}:{workspace_id}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)

    def member(self, run_id: str, member_id: str) -> int:
        """Give the key that a run holds for a worker that it has let in: free where run or worker is given up."""
        return _key(f"upgrader:member:{self.schema}:{run_id}:{member_id}")

    def presence(self, run_id: str, member_id: str) -> int:
        """Give the key that such a worker holds for as long as it takes part."""
        return _key(f"upgrader:presence:{self.schema}:{run_id}:{member_id}")


def _key(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
