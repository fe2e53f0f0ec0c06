"""Not scanned, because its folder begins with `_`: it would not even import."""

raise RuntimeError("not ready")
