"""A peer made of a socket, json and struct: it says only what a test tells it, also what no node would say.

Like processes.py, it knows the contract and nothing of the project, so it grades any node.
"""

import json
import secrets
import socket
import struct
import time
from typing import Any, Self

DEADLINE = 30.0
"""Seconds to wait for what takes a fraction of one, on a machine that is busy with other work."""

LAST_SHOWN = 15
"""Events and lines shown of a node when a test fails."""

Event = dict[str, Any]
"""One line of a node's `--json` output (contract §4), or one message of the wire (contract §3)."""


def has_members(event: Event, kind: str, name: str, members: Event) -> bool:
    """Is member `kind` of `event` this `name`, and has it these `members` among its own?"""
    return event.get(kind) == name and all(member in event and event[member] == value
                                           for member, value in members.items())


class RawPeer:
    """A peer made of a socket, json and struct: it does what a test tells it, also what no node would do."""

    def __init__(self, address: str | socket.socket, stage: int = 1, network: str | None = None,
                 listen: str | None = None, receive_buffer: int = 0) -> None:
        """Connect to the node at `address`, or be the peer that a node has called: then it is a socket.

        `listen` is what `hello` announces: by default an address of its own where nobody answers.
        `receive_buffer`: bytes that the system keeps unread for it; 0 leaves that as it is.
        """
        # Bound and not listening: nobody else gets this port, and who calls it is refused at once.
        self._reserved = socket.socket()
        self._reserved.bind(("127.0.0.1", 0))
        self.stage, self.network = stage, network
        self.listen = listen or f"127.0.0.1:{self._reserved.getsockname()[1]}"
        self.received: list[Event] = []
        """All messages that have come so far."""
        self._rest = b""
        self.socket = socket.socket() if isinstance(address, str) else address
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        if isinstance(address, str):
            host, _, port = address.rpartition(":")
            self.socket.connect((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # --- out ------------------------------------------------------------------------------------

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def send_body(self, body: bytes) -> None:
        """Send a frame with this body."""
        self.send_bytes(frame(body))

    def send(self, *messages: Event) -> None:
        """Send messages, in one piece."""
        self.send_bytes(b"".join(frame(json.dumps(message).encode()) for message in messages))

    def hello_message(self, **changes: Any) -> Event:
        """The hello that this peer says, with members changed as asked."""
        return {"type": "hello", "version": 1, "stage": self.stage, "network": self.network, "listen": self.listen,
                **changes}

    def hello(self, **changes: Any) -> Event:
        """Say hello, and give the node's. It has sent that at once: `join` also waits until it has let this one in."""
        self.send(self.hello_message(**changes))
        return self.expect("hello")

    def join(self, **changes: Any) -> Event:
        """Say hello, give the node's, and wait until it has let this one in: from now on it forwards to this peer."""
        hello = self.hello(**changes)
        self.barrier()
        return hello

    def end_output(self) -> None:
        """Shut down this peer's half of the connection: it still reads."""
        self.socket.shutdown(socket.SHUT_WR)

    # --- in -------------------------------------------------------------------------------------

    def receive(self, timeout: float = DEADLINE) -> Event | None:
        """The next message; None at the end of the stream; AssertionError if none comes in time."""
        deadline = time.monotonic() + timeout
        while (body := self._next_body()) is None:
            left = deadline - time.monotonic()
            try:
                self.socket.settimeout(max(left, 0.001))
                data = self.socket.recv(65_536)
            except TimeoutError:
                raise AssertionError(f"nothing came in {timeout:g} seconds; {self.describe()}") from None
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._rest += data
        message: Event = json.loads(body)
        self.received.append(message)
        return message

    def _next_body(self) -> bytes | None:
        if len(self._rest) < 4:
            return None
        length = struct.unpack(">I", self._rest[:4])[0]
        if len(self._rest) < 4 + length:
            return None
        body, self._rest = self._rest[4:4 + length], self._rest[4 + length:]
        return body

    def expect(self, kind: str, timeout: float = DEADLINE, **members: Any) -> Event:
        """The next message of that type with these `members`; others that come before are passed over."""
        deadline = time.monotonic() + timeout
        while (message := self.receive(deadline - time.monotonic())) is not None:
            if has_members(message, "type", kind, members):
                return message
        raise AssertionError(f"closed before {kind} {members} came; {self.describe()}")

    def barrier(self, timeout: float = DEADLINE) -> list[Event]:
        """Ping, wait for the pong, and give what came before it: all that was sent has then been handled."""
        start, nonce = len(self.received), secrets.token_hex(16)
        self.send({"type": "ping", "nonce": nonce})
        self.expect("pong", timeout, nonce=nonce)
        return self.received[start:-1]

    def expect_closed(self, with_error: str | None = None, timeout: float = DEADLINE) -> list[Event]:
        """Read to the end of the stream. The last message must be `error` of that code; with None, no error."""
        deadline = time.monotonic() + timeout
        while self.receive(deadline - time.monotonic()) is not None:
            pass
        codes = [message["code"] for message in self.received if message["type"] == "error"]
        assert codes == ([with_error] if with_error else []), self.describe()
        if with_error:
            last = self.received[-1]
            assert last.keys() == {"type", "code", "reason"} and isinstance(last["reason"], str), self.describe()
        return self.received

    def describe(self) -> str:
        """What came last, for a person who wonders why a test has failed."""
        last = [json.dumps(message)[:300] for message in self.received[-LAST_SHOWN:]]
        return f"{len(self.received)} messages came, the last of them:\n    " + "\n    ".join(last)

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()
        self._reserved.close()

    def reset(self) -> None:
        """End the connection as a crash of the machine would: with a reset, and without a farewell."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def frame(body: bytes) -> bytes:
    """A frame of contract §1: a 4-byte big-endian length, and `body`."""
    return struct.pack(">I", len(body)) + body


def chat_message(text: str) -> Event:
    """A chat message that is new to everyone."""
    return {"type": "chat", "nonce": secrets.token_hex(16), "text": text}
