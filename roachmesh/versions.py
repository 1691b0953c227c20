"""The versions that are deployed when the topology names none."""

COCKROACHDB = "v26.2.2"
K3S = "v1.36.4+k3s1"
CILIUM = "1.20.5"
