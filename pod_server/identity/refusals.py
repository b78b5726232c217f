"""The two ways in which proof of a caller fails, each with the check that failed.

Called by every module of identity/ that reads a token or a proof; never by
other rooms, which see an Unauthenticated like any other.  Fields: check (a
short stable word) and error (the OAuth code for the WWW-Authenticate header:
RFC 6750, section 3.1; RFC 9449, section 7.1).
"""

from __future__ import annotations

from pod_server.errors import Unauthenticated


def bad_token(check: str, detail: str) -> Unauthenticated:
    """The access token does not hold."""
    return Unauthenticated(detail, check=check, error="invalid_token")


def bad_proof(check: str, detail: str) -> Unauthenticated:
    """The DPoP proof does not hold."""
    return Unauthenticated(detail, check=check, error="invalid_dpop_proof")
