"""Tab completes accounts at the prompt."""

from tests.screen import Start


def test_accounts_are_completed(terminal: Start) -> None:
    one = terminal("--peer", "none", stage=2)
    one.see_line("founded a network")
    one.press("/send alice bob 5\n")
    one.see(lambda lines: any(line.endswith(" applied") for line in lines), "the transaction")
    one.press("/send al\t bo\t")
    one.see_last("> /send alice bob")
    one.press("\x15al\t.")
    one.see(lambda lines: lines[-1].startswith("> al") and "alice" not in lines[-1], "no completion outside a command")
