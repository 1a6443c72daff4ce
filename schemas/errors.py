"""The errors a user sees as one line: what was wrong, where, and what to do."""


class HazmatError(Exception):
    """Ends a command with its message and exit code 1."""


class InputError(HazmatError):
    """Bad use or bad input: exit code 2."""
