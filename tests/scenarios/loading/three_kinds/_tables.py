"""What several commands share; the name begins with `_`, so it is no command module."""

INVOICE = "core.invoice"
