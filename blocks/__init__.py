"""Prefect blocks: credentials and keys, and how to get a client from them."""
