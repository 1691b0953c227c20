"""A local Azure: ARM over TLS, real Linux machines, a real network; knows nothing of the product."""
