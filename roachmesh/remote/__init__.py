"""Programs that run on machines: one file each, standard library only.

They are sent over SSH as text, so that nothing of ours has to be installed there; Debian 13's
Python 3.13 runs them. `agent.py` serves an SSH session and calls the `main` of the others with what
was read from JSON. What goes wrong is an exception with a sentence: `ConnectionError` and
`TimeoutError` where time may heal it, any other where it does not.
"""
