"""Daemons that serve the machines from outside: the resolver and the time server."""
