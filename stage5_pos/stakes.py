"""The genesis accounts that are played here, as the user names them: by number."""

from collections.abc import Callable, Mapping

from common.interface import CommandError
from common.rsa import PrivateKey


def find_stake(stakes: Mapping[int, PrivateKey], number: str) -> PrivateKey:
    """The key of the genesis account with this number; CommandError if it is not played here."""
    played = {str(number): key for number, key in stakes.items()}
    if number not in played:
        raise CommandError(f"expected a genesis account played here: {', '.join(played) or 'none is (see --forge)'}",
                           "ACCOUNT")
    return played[number]


def advise_on_funds(stakes: Mapping[int, PrivateKey], amount: int, available: Callable[[str], int]) -> str:
    """Name the genesis accounts played here that have the amount: a new node's own account has nothing."""
    if not stakes:
        return "; --from N needs a genesis account that is played here (see --forge), and none is"
    able = [str(number) for number, stake in stakes.items() if available(stake.account) >= amount]
    if not able:
        return "; and no genesis account that is played here has that much"
    return f"; genesis accounts that are played here and have it: {', '.join(able)}; add --from {able[0]}"
