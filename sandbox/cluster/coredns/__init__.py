"""The stand-in for CoreDNS: reads a Corefile, and does what k3s's and `coredns-custom` say in it."""
