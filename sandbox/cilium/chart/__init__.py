"""The stand-in for the chart `cilium`: what it refuses, what it renders, how it is packed."""

VERSION = "1.20.5"
