"""The picture of a running network: real nodes, and what the screen shows of them."""

import re

from lab.live.launcher import Settings
from lab.live.picture import take_picture


def test_the_picture_shows_the_nodes_and_what_was_typed() -> None:
    picture = take_picture(Settings(1, 2, 1, ()), ("1 hello", "wait 1"), (100, 20), patience=60)
    text = re.sub(r"<[^>]*>", "", picture).replace("&#160;", " ")
    assert "make network STAGE=1 N=2" in text and "stage 1, 2 nodes, seed 1" in text
    assert "> 1 hello" in text.replace("&gt;", ">") and picture.count("hello") >= 2
