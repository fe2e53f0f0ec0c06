"""The SQL that commands really execute, collected, and read by squawk."""
