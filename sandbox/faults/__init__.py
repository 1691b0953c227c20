"""What goes wrong on purpose: `kinds` declares every kind, `faults` keeps those that are in force.

Where a fault strikes is where the thing happens that goes wrong: ARM's requests in `arm/faulty.py`, packets
in `fabric/router.py`, machines in `machines/`, downloads in `mirror.py`.
"""
