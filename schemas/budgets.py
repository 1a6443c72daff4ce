"""What an attack may change, unless something else is asked for: the same everywhere, so that figures can be compared."""

EPSILON = 2 / 255
"""L-infinity after 8-bit decoding, in [0, 1] pixel units: the budget of the published claim on our terms."""
TOKENS = 4
"""Words exchanged or letters rewritten in a prompt."""
