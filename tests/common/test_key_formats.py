"""Keys as openssl and ssh-keygen write them: accepted, or named for what they are, with a command to convert them.

These programs make the files, and convert them: the tests run the advised command, and check that its result is
accepted.
"""

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from Crypto import KdfLimitError
from Crypto.IO import PKCS8

from common.rsa import PrivateKey
from common.rsa import load_key, load_wallet
from common.wallets import WalletError
from tests.fixtures import KEYS, kept_key

pytestmark = [pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed")
              for name in ("openssl", "ssh-keygen")]

KEY = KEYS / "key-1.pem"
SECRET = ["-passout", "pass:secret"]
TO_PKCS8 = ["openssl", "pkcs8", "-topk8", "-in", str(KEY), *SECRET]


def run(*words: str, folder: Path) -> None:
    """Run a program in a folder; AssertionError with what it says if it fails."""
    ended = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


def made(folder: Path, *words: str, name: str = "my key.pem") -> Path:
    """The file that a command of openssl makes."""
    run(*words, "-out", name, folder=folder)
    return folder / name


def pkcs1(folder: Path) -> Path:
    """A key as `openssl genrsa -aes256` of OpenSSL 1.1 and of macOS writes it."""
    return made(folder, "openssl", "rsa", "-traditional", "-aes256", "-in", str(KEY), *SECRET)


def openssh(folder: Path) -> Path:
    """A key as `ssh-keygen -t rsa` writes it."""
    shutil.copyfile(KEY, folder / "id rsa")
    (folder / "id rsa").chmod(0o600)
    run("ssh-keygen", "-q", "-p", "-f", "id rsa", "-N", "secret", folder=folder)
    return folder / "id rsa"


def pkcs12(folder: Path) -> Path:
    """A key as browsers and mail programs export it."""
    run("openssl", "req", "-x509", "-key", str(KEY), "-subj", "/CN=x", "-out", "cert.pem", folder=folder)
    return made(folder, "openssl", "pkcs12", "-export", "-inkey", str(KEY), "-in", "cert.pem", *SECRET, name="my.p12")


OTHERS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "PKCS#1": (pkcs1, "a key in PKCS#1, expected a wallet"),
    "OpenSSH": (openssh, "a key in OpenSSH's format, expected a wallet"),
    "PKCS#12": (pkcs12, "a file in PKCS#12, expected a wallet"),
    "PBES1": (lambda folder: made(folder, *TO_PKCS8, "-v1", "PBE-SHA1-3DES"), "it is encrypted by PBE-SHA1-3DES (PBES1)"),
    "Camellia": (lambda folder: made(folder, *TO_PKCS8, "-v2", "camellia-256-cbc"), "it is encrypted by Camellia-256"),
    "ARIA": (lambda folder: made(folder, *TO_PKCS8, "-v2", "aria-256-cbc"), "it is encrypted by another scheme"),
    "MD5": (lambda folder: made(folder, *TO_PKCS8, "-v2", "aes-256-cbc", "-v2prf", "hmacWithMD5"), "another scheme, which"),
    "DER": (lambda folder: made(folder, *TO_PKCS8, "-outform", "DER"), "a binary file (DER), expected a wallet"),
    "not encrypted": (lambda folder: made(folder, *TO_PKCS8, "-nocrypt"), "the key in it is not encrypted, expected a wallet"),
}


@pytest.mark.parametrize(("make", "fault"), OTHERS.values(), ids=OTHERS)
def test_another_format_is_named_and_the_advised_command_makes_a_wallet_of_it(
        tmp_path: Path, make: Callable[[Path], Path], fault: str) -> None:
    path = make(tmp_path)
    assert fault in convert(path, lambda: load_wallet(path, "secret"), "other")
    assert load_wallet(tmp_path / "NEW.pem", "other").account == kept_key(1).account


@pytest.mark.parametrize("make", [pkcs1, openssh, pkcs12, lambda folder: made(folder, *TO_PKCS8)],
                         ids=["PKCS#1", "OpenSSH", "PKCS#12", "encrypted"])
def test_the_advised_command_makes_a_genesis_key_of_it(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    assert "expected an unencrypted RSA key" in convert(path, lambda: load_key(path), None)
    assert load_key(tmp_path / "NEW.pem").account == kept_key(1).account


def convert(path: Path, load: Callable[[], PrivateKey], passphrase: str | None) -> str:
    """Run the commands at the end of the message about a file. Return the message before them."""
    with pytest.raises(WalletError) as caught:
        load()
    said, _, advice = str(caught.value).rpartition("to convert it: ")
    assert "\n" not in said and "wrong passphrase" not in said
    for command in advice.split(" && "):
        words = shlex.split(command)
        if words[0] == "openssl":
            words += ["-passin", "pass:secret"] + (["-passout", f"pass:{passphrase}"] if passphrase else [])
        if words[0] == "ssh-keygen":
            words += ["-P", "secret"] + (["-N", passphrase] if passphrase else [])
        run(*words, folder=path.parent)
    return said


TAKEN = [["-v2", "aes-128-cbc"], ["-v2", "des3"], ["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"], ["-scrypt"]]


@pytest.mark.parametrize("options", TAKEN, ids=map("_".join, TAKEN))
def test_other_encryptions_of_openssl_are_accepted_and_a_wrong_passphrase_is_named(
        tmp_path: Path, options: list[str]) -> None:
    path = made(tmp_path, *TO_PKCS8, *options)
    assert load_wallet(path, "secret").account == kept_key(1).account
    with pytest.raises(WalletError, match="wrong passphrase"):
        load_wallet(path, "other")


@pytest.mark.parametrize("change", [
    lambda content: b"\xef\xbb\xbf" + content,
    lambda content: b"\xff\xfe" + content.decode().encode("utf-16-le"),
    lambda content: b"\xfe\xff" + content.decode().encode("utf-16-be"),
    lambda content: b"Bag Attributes\n    localKeyID: 01\nKey Attributes: <No Attributes>\n" + content,
    lambda content: b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n" + content + b"my key\n",
], ids=["UTF-8 mark", "UTF-16", "UTF-16 BE", "attributes", "a certificate before it"])
def test_a_wallet_may_begin_anywhere_in_its_file(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = made(tmp_path, *TO_PKCS8)
    path.write_bytes(change(path.read_bytes()))
    assert load_wallet(path, "secret").account == kept_key(1).account


@pytest.mark.parametrize(("words", "fault"), [
    (["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"], "an elliptic-curve key, expected"),
    (["openssl", "genpkey", "-algorithm", "ed25519", "-out"], "not an RSA key of 2048 to 4096 bits"),
    (["openssl", "rsa", "-in", str(KEY), "-pubout", "-out"], "a public key, expected"),
    (["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f"], "an OpenSSH key of the kind ssh-ed25519, expected"),
], ids=["elliptic curve", "Ed25519", "public", "OpenSSH Ed25519"])
def test_a_key_that_cannot_be_an_account_is_named_without_advice(tmp_path: Path, words: list[str], fault: str) -> None:
    path = tmp_path / "key.pem"
    run(*words, str(path), folder=tmp_path)
    loads: list[Callable[[], PrivateKey]] = [lambda: load_wallet(path, "secret"), lambda: load_key(path)]
    for load in loads:
        with pytest.raises(WalletError) as caught:
            load()
        assert fault in str(caught.value) and "to convert it" not in str(caught.value)


def test_a_passphrase_that_would_take_an_hour_to_check_is_not_called_wrong(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise KdfLimitError("too many rounds")

    path = made(tmp_path, *TO_PKCS8)
    monkeypatch.setattr(PKCS8, "unwrap", refuse)
    with pytest.raises(WalletError, match="takes more time or memory to check than is allowed here; to convert it: openssl"):
        load_wallet(path, "secret")
