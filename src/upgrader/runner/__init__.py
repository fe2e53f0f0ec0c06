"""The runner: walks a plan. Policy only; what it does to the database goes through the floors below."""
