"""Frames: how a stream of bytes is cut into messages (contract §1).

A frame is a 4-byte big-endian length N, 1 <= N <= 4,194,304, and N bytes. TCP
keeps no boundaries: one `recv` may bring half a length or twenty frames and a
bit, so somebody has to remember what has come so far: the `Splitter`.
"""

LENGTH_BYTES = 4
MAX_BODY = 4_194_304
"""The longest body, in bytes (contract §1)."""


class FrameError(ValueError):
    """The bytes are not a frame: the length is 0 or too large, or the body is not a JSON object as §1 asks."""


def make_frame(body: bytes) -> bytes:
    """Put its length in front of `body`; FrameError if it is empty or longer than `MAX_BODY`."""
    if not 1 <= len(body) <= MAX_BODY:
        raise FrameError(f"a frame must hold 1 to {MAX_BODY} bytes, not {len(body)}")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def frame_body(frame: bytes) -> bytes:
    """Give the bytes that `frame` carries, without the length in front."""
    return frame[LENGTH_BYTES:]


class Splitter:
    """Cuts one connection's bytes into frames, however TCP has cut or joined them."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> tuple[list[bytes], FrameError | None]:
        """Take what one `recv` brought; give the whole frames, each with its length in front.

        If a length is impossible, the result also holds the error. The frames before it are good. The bytes after it
        have no meaning, and the connection must be closed.
        """
        # A loop, and not one frame a `recv`: TCP is a stream, and this may be the end of one frame and ten more.
        self._rest += data
        frames, start = [], 0
        error = None
        while len(self._rest) - start >= LENGTH_BYTES:
            length = int.from_bytes(self._rest[start:start + LENGTH_BYTES], "big")
            if not 1 <= length <= MAX_BODY:
                error = FrameError(f"a frame's length must be 1 to {MAX_BODY}, not {length}")
                break
            end = start + LENGTH_BYTES + length
            if end > len(self._rest):
                break
            frames.append(bytes(self._rest[start:end]))
            start = end
        del self._rest[:start]
        return frames, error
