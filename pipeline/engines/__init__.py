"""Ray reads once, when it is first imported, whether it wants a token; so it is said here, before any engine imports it."""

import os

_address = os.environ.get("RAY_ADDRESS", "")
if not _address or "://" in _address:  # a cluster that is joined at host:port says for itself
    os.environ.setdefault("RAY_AUTH_MODE", "token")
