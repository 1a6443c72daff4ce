"""Pictures at addresses: fetched only from hosts that the operator named, never from within the network.

The address is looked up once, has to be a public one, and that very address is connected to, so that a name that answers
differently the second time (DNS rebinding) leads nowhere else. Redirects are not followed.
"""

import http.client
import ipaddress
import socket
import ssl
from urllib.parse import urlsplit

from classifiers.serving.limits import RequestError, RequestLimits, bad

SECONDS = 2.0
PIECE = 2**16


def fetch(url: str, allowed: frozenset[str], limits: RequestLimits) -> bytes:
    """The bytes at an https address of an allowed host. Raises RequestError for everything else."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or 443
    except ValueError:
        raise bad("the picture's address cannot be read") from None
    if host not in allowed or parts.scheme != "https" or parts.username or parts.password:
        named = f"https addresses of {', '.join(sorted(allowed))}" if allowed else "none here (see --allow-host)"
        raise bad(f"pictures are taken as data: URLs; fetched are {named}", "url_not_allowed")
    try:
        with _connected(_public(host, port), port) as plain:
            return _read(plain, host, parts.path + (f"?{parts.query}" if parts.query else ""), limits)
    except (OSError, http.client.HTTPException) as error:
        raise bad(f"the picture at {host} could not be fetched ({type(error).__name__})", "url_failed") from error


def _public(host: str, port: int) -> str:
    addresses = {str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    inside = [each for each in addresses if not ipaddress.ip_address(each.partition("%")[0]).is_global]
    if inside or not addresses:
        raise bad(f"{host} is an address within this network; nothing is fetched there", "url_not_allowed")
    return min(addresses)


def _connected(address: str, port: int) -> socket.socket:
    return socket.create_connection((address, port), timeout=SECONDS)


def _read(plain: socket.socket, host: str, path: str, limits: RequestLimits) -> bytes:
    client = http.client.HTTPConnection(host, timeout=SECONDS)
    client.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    client.request("GET", path or "/", headers={"Accept": "image/*"})
    answer = client.getresponse()
    if answer.status != 200:
        raise RequestError(400, "url_failed", f"{host} answered {answer.status}; redirects are not followed")
    body = bytearray()
    while piece := answer.read(PIECE):
        body += piece
        if len(body) > limits.body:
            raise RequestError(413, "too_large", f"the picture at {host} has more than {limits.body} bytes")
    return bytes(body)
