"""HTTP connections that must make progress: uvicorn has no limit of time for a request's head."""

from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class Protocol(H11Protocol):
    """Closes a connection on which no request begins for ``seconds``, however much is sent.

    So a client that sends the head of a request slowly is stopped, and one that goes on sending a
    body that was refused. Until then the rest of such a body is read and thrown away, as otherwise
    the client would not see the answer.
    """

    seconds = 30.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def _look_later(self) -> None:
        self._timer = self.loop.call_later(self.seconds, self._look, self.cycle)

    def _look(self, before: object) -> None:
        answered = self.cycle is None or self.cycle.response_complete
        if not (self.cycle is before and answered):
            self._look_later()
        elif not self.transport.is_closing():
            self.transport.close()
