"""The client of stage 3: `python -m stage3_signed`."""

import argparse
import getpass
import os
import sys
from pathlib import Path

from common.client import run_client
from common.console import CannotStart, Options, read_path
from common.foreground import is_in_background, wait_for_foreground
from common.network import ThreadedNetwork
from common.rsa import PrivateKey, make_key
from common.rsa import load_or_make_key, load_or_make_wallet
from common.wallets import WalletError
from stage2_ledger.__main__ import LedgerClient
from stage3_signed.node import SignedNode, SignedSetup

PASSPHRASE = "WALLET_PASSPHRASE"
WALLET_FILE = "wallet.pem"
KEY_FILE = "account.pem"
"""The files in which `--data` keeps this node's key: with a passphrase, and without."""


class SignedClient(LedgerClient):
    """The client of stage 2, with a key."""

    PROGRAM = "stage3_signed"
    DESCRIPTION = "A ledger of signed transactions: only the owner of an account can spend from it."

    def add_options(self, options: Options) -> None:
        """Add the option for the file that keeps the key."""
        super().add_options(options)
        options.add_argument("--wallet", type=read_path, metavar="FILE",
                             help=f"the private key of this node's account, made if missing; the passphrase comes"
                                  f" from {PASSPHRASE}, or is asked for")

    def make_node(self, network: ThreadedNetwork, address: str, options: argparse.Namespace) -> SignedNode:
        """Make the node with its key."""
        journal = self.open_journal(options, SignedNode.STAGE)
        setup = SignedSetup(join_seconds=options.wait / 1000, journal=journal, key=self.find_key(options))
        return SignedNode(network, address, setup)

    def find_key(self, options: argparse.Namespace) -> PrivateKey:
        """The key of this node's account: from `--wallet`; without it, from the folder of `--data`; without either, a
        new key that is lost with the process."""
        if options.wallet is None and options.data is not None:
            return find_kept_key(options)
        if options.wallet is None:
            if not options.json:
                print("warning: no --wallet, so this account and its money end with this process", file=sys.stderr)
            return make_key()
        try:
            return open_wallet(options.wallet, options)
        except WalletError as error:
            raise CannotStart(str(error)) from None


def find_kept_key(options: argparse.Namespace) -> PrivateKey:
    """The key that is kept in the folder of `--data`. It is encrypted if there was a passphrase when it was
    made. Otherwise only the mode of the file protects it."""
    wallet, key_file = options.data / WALLET_FILE, options.data / KEY_FILE
    try:
        if wallet.exists() or (os.environ.get(PASSPHRASE) and not key_file.exists()):
            return open_wallet(wallet, options)
        return load_or_make_key(key_file)
    except WalletError as error:
        raise CannotStart(str(error)) from None


def open_wallet(wallet: Path, options: argparse.Namespace) -> PrivateKey:
    """The key in a wallet, which is made if missing. People are told that it is new: the path may be mistyped."""
    is_new = not os.path.lexists(wallet)
    key = load_or_make_wallet(wallet, find_passphrase(wallet, is_new))
    if is_new and not options.json:
        print(f"{wallet} is a new wallet, with a new account", file=sys.stderr)
    return key


def find_passphrase(wallet: Path, is_new: bool) -> str:
    """The passphrase of a wallet, from the environment or from the terminal."""
    passphrase = os.environ.get(PASSPHRASE)
    if passphrase is not None:
        return passphrase
    if not sys.stdin.isatty():
        raise CannotStart(f"no terminal to ask for the passphrase of {wallet}; set the variable {PASSPHRASE} to it")
    if is_in_background():
        print(f"to type the passphrase of {wallet}, bring this program to the foreground (fg)", file=sys.stderr)
        wait_for_foreground()
    try:
        return choose_passphrase(wallet) if is_new else getpass.getpass(f"passphrase of {wallet}: ")
    except (EOFError, OSError):  # the end of input, or the process went to the background during the question
        raise CannotStart(f"the input ended before the passphrase of {wallet} was typed; start again") from None


def choose_passphrase(wallet: Path) -> str:
    """Ask for a new passphrase until it is typed the same twice: with a mistyped one, nobody could open the wallet."""
    while True:
        passphrase = getpass.getpass(f"new passphrase for the new wallet {wallet}: ")
        if not passphrase or getpass.getpass("the same passphrase again: ") == passphrase:
            return passphrase  # an empty one is refused, with the reason
        print("the two are not the same; type both again", file=sys.stderr)


if __name__ == "__main__":
    run_client(SignedClient().main)
