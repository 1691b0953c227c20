"""Why k3s ends.

Fatal               k3s cannot go on; the message is its last line
  UsageError        the command line is wrong
"""


class Fatal(Exception):
    """The service cannot start, or cannot go on: it ends with this message and exit code 1."""


class UsageError(Fatal):
    """A flag or a command is unknown, or its value is malformed."""
