"""A request that gets no answer: an HTTP status, and one line that says why."""

from collections.abc import Mapping


class RefusedError(Exception):
    """Why a request is refused. The message is one line for the client.

    Attributes:
        status: of HTTP, 400..599.
        headers: of the response in addition.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def busy(what: str) -> RefusedError:
    """429: the same request may be answered a second later."""
    return RefusedError(429, f"the server is busy: {what}; try again", {"Retry-After": "1"})
