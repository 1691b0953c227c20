"""`cockroach workload init` and `run`: the stand-in for CockroachDB's load generator, MovR alone.

Statements are PostgreSQL's and CockroachDB's alike, so that they run on either.
Source: pkg/workload/movr, pkg/workload/cli/run.go and pkg/workload/driver.go of cockroachdb/cockroach.
"""
