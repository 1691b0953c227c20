"""The stand-in `cockroach` command: real TLS, certificates, joining and SQL, on one PostgreSQL.

No CockroachDB binary can be had where the sandbox runs, so its artifact mirror serves this one
in the official archive's form. The node that receives `cockroach init` runs PostgreSQL on a socket
of its own; every other node terminates its clients' TLS itself and forwards SQL to that one over
mutual TLS. It says so in its version string and its logs.
"""
