"""If a function is still to be written, its call ends the node with one line that names it.

In a handout the functions of a stage raise NotImplementedError. Whichever thread calls one of them, the node ends: a
node that went on without it would do nothing, and nobody would see why.
"""

import sys
from pathlib import Path


def describe_unwritten(error: NotImplementedError) -> str:
    """One line that names the function, with its file and line."""
    raised_at = error.__traceback__
    while raised_at is not None and raised_at.tb_next is not None:
        raised_at = raised_at.tb_next
    assert raised_at is not None  # it was raised
    code = raised_at.tb_frame.f_code
    path = "/".join(Path(code.co_filename).parts[-2:])
    return f"{path}:{raised_at.tb_lineno} {code.co_qualname} is not written yet"


def complain_of_unwritten(error: NotImplementedError) -> int:
    """Tell the user which function is not written yet; give the exit status for that."""
    print(describe_unwritten(error), file=sys.stderr, flush=True)
    return 1
