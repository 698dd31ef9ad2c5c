"""Tab completes accounts that are keys."""

from tests.screen import Start


def test_accounts_that_are_keys_are_completed_by_their_fingerprints(terminal: Start) -> None:
    one = terminal("--peer", "none", stage=3)
    said = "this node's account is "
    lines = one.see(lambda lines: any(line.startswith(said) for line in lines) and lines[-1] == ">", "the account")
    account = next(line.removeprefix(said) for line in lines if line.startswith(said))
    one.press(f"/send {account[:4]}\t")
    one.see_last(f"> /send {account}")
