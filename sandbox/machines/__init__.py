"""Virtual machines: Debian 13 in systemd-nspawn, each in a network namespace of its own."""
