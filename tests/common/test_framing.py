"""Properties of framing: however TCP cuts and joins the bytes, the same frames come out (contract §1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.framing import LENGTH_BYTES, MAX_BODY, FrameError, Splitter, frame_body, make_frame

BODIES = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Bodies, and the stream of their frames in arbitrary pieces, some of them empty."""
    bodies = draw(BODIES)
    stream = b"".join(map(make_frame, bodies))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=40)))
    return bodies, [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def feed_all(splitter: Splitter, pieces: list[bytes]) -> list[bytes]:
    """The bodies that come out, if there is no error."""
    bodies: list[bytes] = []
    for piece in pieces:
        frames, error = splitter.feed(piece)
        assert error is None
        bodies += map(frame_body, frames)
    return bodies


@given(cut_streams())
def test_any_split_gives_the_same_frames(case: tuple[list[bytes], list[bytes]]) -> None:
    bodies, pieces = case
    assert feed_all(Splitter(), pieces) == bodies


@given(BODIES)
def test_byte_by_byte_gives_the_same_frames(bodies: list[bytes]) -> None:
    stream = b"".join(map(make_frame, bodies))
    assert feed_all(Splitter(), [bytes([byte]) for byte in stream]) == bodies


@given(BODIES, st.integers(1, 200))
def test_a_frame_comes_out_as_soon_as_it_is_whole_and_not_before(bodies: list[bytes], missing: int) -> None:
    last = b"x" * 200
    stream = b"".join(map(make_frame, [*bodies, last]))
    splitter = Splitter()
    frames, error = splitter.feed(stream[:-missing])
    assert (list(map(frame_body, frames)), error) == (bodies, None)
    assert splitter.feed(stream[-missing:]) == ([make_frame(last)], None)


def test_frames_keep_their_length_in_front() -> None:
    assert make_frame(b"{}") == b"\x00\x00\x00\x02{}"
    assert Splitter().feed(b"\x00\x00\x00\x02{}") == ([b"\x00\x00\x00\x02{}"], None)
    assert frame_body(b"\x00\x00\x00\x02{}") == b"{}"


@given(BODIES, st.sampled_from([0, MAX_BODY + 1, 2**31, 2**32 - 1]), st.binary(max_size=20))
def test_an_impossible_length_ends_the_stream_after_the_frames_before_it(
        bodies: list[bytes], length: int, rest: bytes) -> None:
    good = [make_frame(body) for body in bodies]
    frames, error = Splitter().feed(b"".join(good) + length.to_bytes(LENGTH_BYTES, "big") + rest)
    assert frames == good
    assert isinstance(error, FrameError) and str(length) in str(error)


@pytest.mark.parametrize("length", [0, MAX_BODY + 1])
def test_an_impossible_length_is_reported_once_its_last_byte_has_come(length: int) -> None:
    splitter = Splitter()
    header = length.to_bytes(LENGTH_BYTES, "big")
    assert splitter.feed(header[:3]) == ([], None)
    assert splitter.feed(header[3:])[1] is not None
    frames, error = splitter.feed(make_frame(b"{}"))
    assert frames == [] and error is not None, "a stream without meaning must not come back to life"


def test_the_longest_body_passes_in_pieces() -> None:
    body = bytes(MAX_BODY)
    frame = make_frame(body)
    pieces = [frame[start:start + 65_536] for start in range(0, len(frame), 65_536)]
    assert feed_all(Splitter(), pieces) == [body]


@pytest.mark.parametrize("size", [0, MAX_BODY + 1])
def test_no_frame_is_made_of_a_body_that_is_empty_or_too_long(size: int) -> None:
    with pytest.raises(FrameError, match=str(size)):
        make_frame(bytes(size))


@pytest.mark.parametrize("size", [1, MAX_BODY])
def test_frames_are_made_of_the_shortest_and_the_longest_body(size: int) -> None:
    assert make_frame(bytes(size)) == size.to_bytes(4, "big") + bytes(size)
