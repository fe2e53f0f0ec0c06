"""The demo: real data, the state before the upgrade, a fault on purpose, the proof that nothing was lost."""
