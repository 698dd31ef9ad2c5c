"""Says in one line what this project needs and does not find, in place of a traceback that ends in a module's name.

Every stage and every tool of lab/ imports this file before all others, so it imports nothing but `sys` and `types`
until it can explain what is missing.
"""

import sys
from types import TracebackType

OF_UNIX = ("fcntl", "resource", "termios", "tty")
"""Modules of the standard library that exist on Unix only."""

PACKAGES = {"Crypto": "pycryptodome"}
"""Packages whose name is not that of the module that is imported. (`crypto` and `pycrypto` are something else.)"""

OURS = ("common", "lab", "tests", "stage1_chat", "stage2_ledger", "stage3_signed", "stage4_sequencer", "stage5_pos")


def describe_missing(module: str) -> str | None:
    """The line for the user about a module that cannot be imported; None if it is one of the project's own, or
    unknown."""
    root = module.partition(".")[0]
    if not root or root in OURS:
        return None
    if root in OF_UNIX:
        return f"this system has no {root}, so this does not run here: use Linux, macOS, or WSL on Windows"
    if root in sys.stdlib_module_names:
        return f"this Python was built without {root}, a part of its standard library: use another build of Python"
    return (f"the package {PACKAGES.get(root, root)} is missing:"
            " start this with make or with .venv/bin/python, where make has put it")


def explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Takes the place of `sys.excepthook`: one line for a missing module; any other error is shown as usual."""
    line = describe_missing(error.name or "") if isinstance(error, ModuleNotFoundError) else None
    if line is None:
        sys.__excepthook__(kind, error, trace)
    else:
        print(line, file=sys.stderr)


sys.excepthook = explain

import fcntl  # noqa: E402, F401  (another system is told at the start, not when the first terminal or lock is used)
