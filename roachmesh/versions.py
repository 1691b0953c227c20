"""The versions that are deployed when the topology names none."""

COCKROACHDB = "v26.2.2"
K3S = "v1.36.4+k3s1"
CILIUM = "1.20.5"

# What the network test's pods run in; the tag is all that is asked of it: Python on as little as possible.
PYTHON_IMAGE = "docker.io/library/python:3.13-alpine"
