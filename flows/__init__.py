"""Order only: what comes after what, in parallel or not."""
