"""What Hazmat raises when a run can't go on; the message says what is wrong, where, and what to do about it."""

LONGEST = 2_000
"""Characters of a message: what a file says is quoted in it, and may be as long as the file."""


class HazmatError(Exception):
    """A run can't go on."""

    def __str__(self) -> str:
        """The message; of a very long one its beginning and end."""
        text = super().__str__()
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 510]} … {text[-500:]}"


class InputError(HazmatError):
    """Bad use or bad input: a job that meets it prints the message and ends with exit code 2."""
