"""A peer made of a socket, json and struct: it says exactly what it is told, even what no node would say.

    with RawPeer(address, stage=2, network=network) as peer:
        peer.join()
        peer.send(chat_message("hi"))
        peer.barrier()                   # the node has handled it

`Peer` is what all scripted peers have in common. `RawPeer` also expects answers, and raises AssertionError if they do
not come.
"""

import contextlib
import json
import random
import socket
import struct
import time
from typing import Any, Self

DEADLINE = 30.0
"""Seconds to wait for what takes a fraction of a second, on a machine that is busy with other work."""

LAST_SHOWN = 15
"""The number of events and lines shown of a node when something is wrong with it."""

RECEIVE_BYTES = 64 * 1024
MAX_FRAME = 4 * 1024 * 1024
"""Bytes of a frame, its length not counted (contract §1)."""

Event = dict[str, Any]
"""One line of a node's `--json` output (contract §4), or one message of the wire (contract §3)."""


randomness: random.Random = random.SystemRandom()
"""Where nonces come from. A program whose runs can be repeated puts a seeded generator here."""


def make_nonce() -> str:
    """32 hex digits that nobody has used before (contract §1)."""
    return f"{randomness.getrandbits(128):032x}"


class NoAnswer(AssertionError):
    """A node did not answer in time. The text of the exception is one line."""


class NotAMessage(AssertionError):
    """A node has sent something that is not a message of contract §1. The text of the exception is one line."""


def has_members(event: Event, kind: str, name: str, members: Event) -> bool:
    """Does `event` have the value `name` in its member `kind`, and all these `members`?"""
    return event.get(kind) == name and all(member in event and event[member] == value
                                           for member, value in members.items())


class Peer:
    """A connection to a node, on which nothing has been sent yet. What comes is read only when somebody waits for
    it."""

    patience = DEADLINE
    """Seconds to wait for a message, unless the caller gives a timeout."""

    def __init__(self, address: str | socket.socket, stage: int = 1, network: str | None = None,
                 listen: str | None = None, receive_buffer: int = 0) -> None:
        """Connect to the node at `address`. If `address` is a socket, a node has called this peer on it.

        `listen` is the address that `hello` announces; by default one of its own, where nobody answers.
        `receive_buffer`: the bytes that the system buffers for it; 0 for the default.
        """
        # Bound but not listening: nobody else gets this port, and a call to it is refused at once.
        self._reserved = socket.socket()
        self._reserved.bind(("127.0.0.1", 0))
        self.stage, self.network = stage, network
        self.listen = listen or f"127.0.0.1:{self._reserved.getsockname()[1]}"
        self.received: list[Event] = []
        """All messages that have been read so far."""
        self._unread = bytearray()
        self._receive_buffer = receive_buffer
        if isinstance(address, str):
            self.address = address
            self.socket = socket.socket()
            self.connect()
        else:
            self.address, self.socket = "the node that has called", address
            self._set_up()

    def connect(self) -> None:
        """Connect, on a new socket; OSError if the node cannot be reached."""
        self.socket.close()
        self.socket = socket.socket()
        self._unread.clear()
        self._set_up()
        host, _, port = self.address.rpartition(":")
        self.socket.connect((host, int(port)))

    def _set_up(self) -> None:
        if self._receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        self.socket.settimeout(self.patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # --- out ------------------------------------------------------------------------------------

    def hello_message(self, **changes: Any) -> Event:
        """The hello that this peer says, with these members changed."""
        return {**make_hello(self.stage, self.network, self.listen), **changes}

    def send_bytes(self, data: bytes) -> bool:
        """Send bytes as they are. False if the node has ended the connection before all were sent."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    # --- in -------------------------------------------------------------------------------------

    def receive(self, timeout: float | None = None) -> Event | None:
        """The next message; None at the end of the stream; NoAnswer if none comes in time."""
        timeout = self.patience if timeout is None else timeout
        deadline = time.monotonic() + timeout
        while (body := self._next_body()) is None:
            try:
                self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
                data = self.socket.recv(RECEIVE_BYTES)
            except TimeoutError:
                raise self._explained(NoAnswer(f"nothing came from {self.address} in {timeout:g} seconds")) from None
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._unread += data
        message = self.read_message(body)
        self.received.append(message)
        return message

    def read_message(self, body: bytes) -> Event:
        """Parse the body of a frame; NotAMessage if it is not a message."""
        try:
            message: Event = json.loads(body)
        except (ValueError, RecursionError):
            message = {}
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise self._explained(NotAMessage(f"{self.address} has sent a frame that is not a JSON object with a text "
                                              f"`type`: {body[:300]!r}"))
        return message

    def _next_body(self) -> bytes | None:
        if len(self._unread) < 4:
            return None
        length = struct.unpack(">I", self._unread[:4])[0]
        if not 1 <= length <= MAX_FRAME:
            raise self._explained(NotAMessage(f"{self.address} has sent a frame of {length} bytes, which begins with "
                                              f"{bytes(self._unread[:40])!r}"))
        end = 4 + length
        if len(self._unread) < end:
            return None
        body = bytes(self._unread[4:end])
        del self._unread[:end]
        return body

    def find(self, kind: str, timeout: float | None = None, **members: Any) -> Event | None:
        """The next message of that type with these `members`; others that come first are skipped. None if the node ends
        the connection first."""
        deadline = time.monotonic() + (self.patience if timeout is None else timeout)
        while (message := self.receive(deadline - time.monotonic())) is not None:
            if has_members(message, "type", kind, members):
                return message
        return None

    def describe(self) -> str:
        """The last messages that came, for somebody who wants to know what went wrong."""
        last = [json.dumps(message)[:300] for message in self.received[-LAST_SHOWN:]]
        return f"{len(self.received)} messages came, the last of them:\n    " + "\n    ".join(last)

    def _explained(self, error: AssertionError) -> AssertionError:
        error.add_note(self.describe())
        return error

    # --- its end --------------------------------------------------------------------------------

    def cut(self) -> None:
        """End the connection now, even while a thread is sending on it."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()
        self._reserved.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RawPeer(Peer):
    """A peer that does what a test tells it, even what no node would do, and expects answers."""

    def send_bytes(self, data: bytes) -> bool:
        """Send bytes as they are; OSError if the node has ended the connection."""
        self.socket.sendall(data)
        return True

    def send_body(self, body: bytes) -> None:
        """Send a frame with this body."""
        self.send_bytes(frame(body))

    def send(self, *messages: Event) -> None:
        """Send messages, in one piece."""
        self.send_bytes(frames_of(*messages))

    def hello(self, **changes: Any) -> Event:
        """Say hello, and return the node's hello, which it sends at once. `join` waits until it has let us in."""
        self.send(self.hello_message(**changes))
        return self.expect("hello")

    def join(self, **changes: Any) -> Event:
        """Say hello, wait until the node has let us in, and return its hello. From now on it forwards to this peer."""
        hello = self.hello(**changes)
        self.barrier()
        return hello

    def expect(self, kind: str, timeout: float | None = None, **members: Any) -> Event:
        """The same as `find`, but AssertionError if the connection ends first."""
        message = self.find(kind, timeout, **members)
        if message is None:
            raise self._explained(AssertionError(f"closed before {kind} {members} came"))
        return message

    def barrier(self, timeout: float | None = None) -> list[Event]:
        """Ping, wait for the pong, and return what came before it. Then all that was sent has been handled."""
        start, nonce = len(self.received), make_nonce()
        self.send({"type": "ping", "nonce": nonce})
        self.expect("pong", timeout, nonce=nonce)
        return self.received[start:-1]

    def expect_closed(self, with_error: str | None = None, timeout: float | None = None) -> list[Event]:
        """Read to the end of the stream. The last message must be `error` of that code; with None, no error."""
        deadline = time.monotonic() + (self.patience if timeout is None else timeout)
        while self.receive(deadline - time.monotonic()) is not None:
            pass
        codes = [message["code"] for message in self.received if message["type"] == "error"]
        assert codes == ([with_error] if with_error else []), self.describe()
        if with_error:
            last = self.received[-1]
            assert last.keys() == {"type", "code", "reason"} and isinstance(last["reason"], str), self.describe()
        return self.received

    def end_output(self) -> None:
        """Shut down the sending half of the connection. This peer still reads."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with a reset, as a crash of the machine would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


# --- what is said -----------------------------------------------------------------------------------

def frame(body: bytes) -> bytes:
    """A frame of contract §1: a 4-byte big-endian length, and `body`."""
    return struct.pack(">I", len(body)) + body


def frames_of(*messages: Event) -> bytes:
    """Messages as they go over the wire, one after the other."""
    return b"".join(frame(json.dumps(message).encode()) for message in messages)


def make_hello(stage: int, network: str | None, listen: str) -> Event:
    """The first message of a peer (contract §2)."""
    return {"type": "hello", "version": 1, "stage": stage, "network": network, "listen": listen}


def chat_message(text: str) -> Event:
    """A chat message that is new to everyone."""
    return {"type": "chat", "nonce": make_nonce(), "text": text}
