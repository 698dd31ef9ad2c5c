"""A client whose blocks are small: `python -m lab.experiments.small_blocks --stage 5 --block-size 100`, and the options
of that stage's client.

The contract lets whoever makes a block put fewer than 50,000 transactions into it. From others this node takes as many
as any other node does.
"""

import sys

from common.client import run_client
from common.console import Options, integer_from
from lab.adversaries.evil import CLIENTS
from lab.schedules.keyed_hash import swapped
from stage4_sequencer.limits import MAX_BLOCK_IDS


def main() -> int:
    """Run the client; the exit status is its own."""
    own = Options(prog="python -m lab.experiments.small_blocks", allow_abbrev=False, add_help=False)
    own.add_argument("--stage", type=integer_from(4, 5), default=5, metavar="4|5")
    own.add_argument("--block-size", type=integer_from(1, MAX_BLOCK_IDS), default=MAX_BLOCK_IDS, metavar="N")
    given, sys.argv[1:] = own.parse_known_args()
    # The form of a block is declared with the true bound, before this, so blocks of others may be larger.
    with swapped({"MAX_BLOCK_IDS": (MAX_BLOCK_IDS, given.block_size)}):
        return CLIENTS[given.stage]().main()


if __name__ == "__main__":
    run_client(main)
