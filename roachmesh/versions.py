"""The versions that are deployed when the topology names none."""

COCKROACHDB = "v26.2.2"
