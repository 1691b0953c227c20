"""Programs that run on machines: one file each, standard library only, JSON in, JSON out.

They are sent over SSH as text, so that nothing of ours has to be installed there. Debian 13's
Python 3.13 runs them. What goes wrong is the last line on stderr; the exit code is EX_TEMPFAIL where
time may heal it.
"""
