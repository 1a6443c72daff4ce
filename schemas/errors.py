"""What Hazmat raises when a run can't go on; the message says what is wrong, where, and what to do about it."""


class HazmatError(Exception):
    """A run can't go on."""


class InputError(HazmatError):
    """Bad use or bad input: a job that meets it prints the message and ends with exit code 2."""
