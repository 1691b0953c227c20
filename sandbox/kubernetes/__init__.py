"""Kubernetes' own programs, built from Debian's source package."""
