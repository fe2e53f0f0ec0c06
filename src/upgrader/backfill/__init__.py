"""Backfills: tables of any size changed in batches, each row once, while the application works."""
