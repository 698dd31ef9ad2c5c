"""Lints the English of this project: `python -m tests.house.prose`, or `make lint`.

proselint does it, with its own checks and with WORDS, which this project does not use. It is given all pages, and of
the code the docstrings, the comments and the strings. What is not prose is replaced by spaces, so that lines and columns
stay as they are.
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

PATTERNS = ("*.md", "docs/*.md", "common/**/*.py", "stage*/*.md", "stage*/**/*.py", "lab/**/*.md", "lab/**/*.py",
            "tests/**/*.md", "tests/**/*.py", "Makefile", "lab/**/*.mk", "lab/**/*.toml")


class Unused(NamedTuple):
    """Words that this project does not use."""

    pattern: str
    """A regular expression of whole words, which RE2 and Python read alike. A space in it may be the end of a line."""
    better: str
    """What to write instead."""
    example: str
    """Where they are found."""


WORDS = (
    Unused("[Ss]hall", "must, will", "everyone shall know"),
    Unused("[Bb]eside", "next to, in addition to", "what a creator gets beside the fees"),
    Unused("(?:[Oo]ne|[Pp]ings?|pongs?|comments?|words?|typed|has|frames?|chain|come|on) behind (?:the|it|its|a|each|that|"
           "them|wants)", "after", "asks on behind each answer"),
    Unused("Who (?:joins|lacks|waits|looks|reports|knows|receives|wants|needs|asks|answers|calls|writes|builds|is not|"
           "is none|does not)", "whoever, a node that", "Who joins late reads what was said before."),
    Unused("Who (?:has|was|is) [^?.;:]* (?:may|can|cannot|must|loses|gets|is told)", "whoever, a node that",
           "Who has called and was refused may have named anybody."),
    Unused("(?:runs?|through|up|works?|slow|asks?|waits?) no more", "no longer", "it is slow no more"),
    Unused("[,;:] else (?:the|a|an|it|of|in|below|signed|less|its|there|this|one|that|they)", "otherwise",
           "keep it, else the second would be the first"),
    Unused(r"Else,? \w+", "Otherwise", "Else Python looks through all that is kept"),
    Unused("[Ss]o long (?:the|it|a|after|waits|each)|[Ff]or so long", "that long, how long", "So long the log waits"),
    Unused("slot that is now", "the current slot", "The slot that is now."),
    Unused("but for (?:the|a|an|those|that|what)", "except", "all but for those that only a subclass can write"),
    Unused("[Ff]or ever", "forever", "it would wait for ever"),
    Unused("anew", "again", "it begins anew"),
    Unused("parted", "split, partitioned", "a network that was parted"),
    Unused("[Aa]lso (?:if|when|where)", "even if", "it is drawn, also if it is old"),
    Unused("[Ff]or sure", "certainly", "for sure"),
    Unused("[Ss]uch a one", "it", "Such a one is not kept."),
    Unused("[Ww]herefore|[Tt]hereof|[Ww]hereof|[Tt]hereby|[Hh]ereby", "therefore, of it, so", "the fee thereof"),
    Unused(r"[Bb]efall\w*", "happen to", "what befalls nodes"),
)
"""Most of them are another language in English words. Each stopped a reader once."""

NOT_READ = (Path(__file__), ROOT / "docs" / "mutants.md")
"""This file names the words that are not used; the page on mutants is the result of a run."""

LEFT_OUT = ("typography", "weasel_words", "dates_times", "industrial_language", "annotations", "hedging", "spelling",
            "terms", "redundancy", "needless_variants", "archaism")
"""Checks of proselint that find nothing here that stops a reader: straight quotes, `very`, `enter in order`."""

LEFT_OUT_OF_CODE = ("lexical_illusions", "misc")
"""Code says `0 0` and `sans-serif`."""


# --- what is prose ------------------------------------------------------------------------------

def blank(text: str) -> str:
    """As many spaces as there are characters; the ends of lines stay."""
    return re.sub(r"[^\n]", " ", text)


def blank_all(pattern: str, text: str) -> str:
    """The text, with spaces for all that matches."""
    return re.sub(pattern, lambda found: blank(found[0]), text, flags=re.MULTILINE | re.DOTALL)


def hide_all(pattern: str, text: str) -> str:
    """The text, with an ellipsis and spaces for all that matches: the sentence around it stays one."""
    return re.sub(pattern, lambda found: "…" + " " * (len(found[0]) - 1), text)


def prose_of_page(text: str) -> str:
    """A page in Markdown without its code, the addresses of its links, and the rules of its tables."""
    text = blank_all(r"^```.*?^```", text)
    text = blank_all(r"^    [^\n]*|(?<=\])\([^)\s]*\)|^[|\- ]*$", text)
    return hide_all(r"`[^`\n]+`", text)


FSTRING_MIDDLE = getattr(tokenize, "FSTRING_MIDDLE", -1)
"""What is text in an f-string, from Python 3.12 on. Before that, an f-string is one token."""

BEFORE_A_STATEMENT = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)


def prose_of_code(text: str, has_strings: bool = True) -> str:
    """Python without all that is neither a comment nor a docstring nor, if wanted, another string."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    prose, end, begins = "", 0, True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_string = token.type in (tokenize.STRING, FSTRING_MIDDLE)
        if token.type == tokenize.COMMENT or (is_string and (begins or has_strings)):
            first, last = (starts[row - 1] + column for row, column in (token.start, token.end))
            prose += blank(text[end:first]) + prose_of_token(text[first:last])
            end = last
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            begins = token.type in BEFORE_A_STATEMENT
    return prose + blank(text[end:])


def prose_of_settings(text: str) -> str:
    """A Makefile or TOML without all that is neither a comment nor a string of several words."""
    prose, end = "", 0
    for found in re.finditer(r'(?<![^\s])#+ [^\n]*|"(?:[^"\\\n]|\\.)* (?:[^"\\\n]|\\.)*"', text):
        prose += blank(text[end:found.start()]) + hide_all(r"`[^`\n]+`", re.sub("[\"#]", " ", found[0]))
        end = found.end()
    return prose + blank(text[end:])


def prose_of_token(text: str) -> str:
    """A comment, or a string of several words, without its marks, its pictures, what is quoted as code, and what is
    filled in. A string ends a sentence."""
    if re.match(r"[rR]?[bB]['\"]", text) or " " not in text:
        return blank(text)
    text = blank_all(r"\A(#+|[rRfFuU]*(\"\"\"|\"|'))|(\"\"\"|\"|')\Z|^ *[^\n]*(──|└|->|  >)[^\n]*$", text)
    return hide_all(r"`[^`\n]+`|\{[^{}\n]*\}|(?<=[^.,;: ]) \Z", text)


def files() -> Iterator[Path]:
    """All files that are linted: not this one, which must name the words."""
    for pattern in PATTERNS:
        yield from sorted(path for path in ROOT.glob(pattern) if path not in NOT_READ)


def prose_of(path: Path) -> str:
    """What is prose in a file. The strings of tests are left out: they are what anybody may say to a node."""
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        return prose_of_page(text)
    if path.suffix != ".py":
        return prose_of_settings(text)
    return prose_of_code(text, has_strings=path.relative_to(ROOT).parts[0] != "tests")


# --- linting ------------------------------------------------------------------------------------

def lint(paths: Iterable[Path]) -> Iterator[str]:
    """What proselint finds: where, and what to do about it, a line each."""
    # Not at the top: a test reads the list of words where only what tests need is installed.
    from proselint.checks import __register__
    from proselint.config import DEFAULT
    from proselint.registry import CheckRegistry
    from proselint.registry.checks import Check
    from proselint.registry.checks.engine import Fast, RegexOptions
    from proselint.registry.checks.types import PreferredForms
    from proselint.tools import LintFile

    words = Check(PreferredForms({as_pattern(one): one.better for one in WORDS}),
                  Fast(RegexOptions(case_insensitive=False)), "words", "this project does not write '{1}'; write: {0}")
    CheckRegistry().register_many((*__register__, words))
    for path in paths:
        left_out = LEFT_OUT + (() if path.suffix == ".md" else LEFT_OUT_OF_CODE)
        checks = {**DEFAULT["checks"], **dict.fromkeys(left_out, False), "words": True}
        for found in LintFile(path, prose_of(path)).lint({"max_errors": 100, "checks": checks}):
            row, column = found.pos
            yield f"{path.relative_to(ROOT)}:{row}:{column}: {' '.join(found.check_result.message.split())}"


def as_pattern(unused: Unused) -> str:
    """The regular expression, in which a space is any white space."""
    return f"(?:{unused.pattern})".replace(" ", r"\s+")


def main() -> int:
    """Print what was found; 1 if that is anything."""
    found = list(lint(files()))
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
