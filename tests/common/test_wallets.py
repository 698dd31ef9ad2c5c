"""Files of keys: made once, completely or not at all, and every fault is one line (contract §4)."""

import errno
import math
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from Crypto.IO import PEM, PKCS8
from Crypto.PublicKey import ECC, RSA
from Crypto.Util.asn1 import DerNull, DerObject, DerObjectId, DerOctetString, DerSequence

from common import new_files, rsa, wallets
from common.advice import describe_file_error
from common.rsa import PrivateKey
from common.rsa import load_key, load_or_make_keys, load_or_make_wallet, load_wallet
from common.wallets import WalletError
from tests.fixtures import KEYS, kept_key

PASSPHRASE = "correct horse"
REAL_ROUNDS = rsa._ROUNDS
HMAC_SHA512 = "1.2.840.113549.2.11"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace new keys by kept ones, in turn, and use few rounds: these tests are about files."""
    keys = iter([kept_key(number) for number in range(1, 13)])
    monkeypatch.setattr(rsa, "make_key", lambda: next(keys))
    monkeypatch.setattr(rsa, "_ROUNDS", 1_000)
    monkeypatch.setattr(new_files, "PATIENCE", 0)


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A umask that removes no permission."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def wallet(tmp_path: Path) -> Path:
    """A wallet with the first kept key."""
    path = tmp_path / "wallet.pem"
    assert load_or_make_wallet(path, PASSPHRASE).account == kept_key(1).account
    return path


def fault_of(action: Callable[[], object], path: Path) -> str:
    """The one line of the WalletError about `path`."""
    with pytest.raises(WalletError) as caught:
        action()
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and "\n" not in line
    return line.removeprefix(f"{path}: ")


def mode(path: Path) -> int:
    """The permissions of a file."""
    return path.stat().st_mode & 0o777


# --- wallets ------------------------------------------------------------------------------------

def test_a_wallet_is_made_once_and_then_loaded(wallet: Path) -> None:
    content = wallet.read_bytes()
    assert load_or_make_wallet(wallet, PASSPHRASE).account == kept_key(1).account
    assert load_wallet(wallet, PASSPHRASE).account == kept_key(1).account
    assert wallet.read_bytes() == content
    assert os.listdir(wallet.parent) == [wallet.name]


@pytest.mark.usefixtures("open_umask")
def test_only_its_owner_may_read_a_wallet(tmp_path: Path) -> None:
    load_or_make_wallet(tmp_path / "wallet.pem", PASSPHRASE)
    assert mode(tmp_path / "wallet.pem") == 0o600


def sequence_in(encoded: bytes) -> list[Any]:
    """The elements of a SEQUENCE in DER."""
    return list(DerSequence().decode(encoded)[:])


def test_a_wallet_is_encrypted_pkcs_8_with_a_costly_key_derivation(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rsa, "_ROUNDS", REAL_ROUNDS)
    load_or_make_wallet(tmp_path / "wallet.pem", PASSPHRASE)
    container, marker, _ = PEM.decode((tmp_path / "wallet.pem").read_text())
    assert marker == "ENCRYPTED PRIVATE KEY"
    parameters = sequence_in(sequence_in(sequence_in(container)[0])[1])
    derivation = sequence_in(sequence_in(parameters[0])[1])
    assert len(DerOctetString().decode(derivation[0]).payload) >= 8
    assert derivation[1] >= 210_000
    assert DerObjectId().decode(sequence_in(derivation[-1])[0]).value == HMAC_SHA512
    assert load_wallet(tmp_path / "wallet.pem", PASSPHRASE).account == kept_key(1).account


@pytest.mark.parametrize("passphrase", ["x", " ", "pässwörd €", "\U0001f600", "a\udcff", "p" * 2_000, "a\nb"])
def test_any_passphrase_but_the_empty_one_will_do(tmp_path: Path, passphrase: str) -> None:
    path = tmp_path / "wallet.pem"
    account = load_or_make_wallet(path, passphrase).account
    assert load_wallet(path, passphrase).account == account
    assert fault_of(lambda: load_wallet(path, passphrase + "x"), path) == "wrong passphrase"


def test_a_passphrase_is_utf_8(wallet: Path) -> None:
    """As OpenSSL reads it from a terminal. The library by itself would use Latin-1."""
    wallet.write_bytes(kept_key(2).key.export_key(passphrase="pässwörd".encode(), pkcs=8,
                                                  protection="PBKDF2WithHMAC-SHA1AndDES-EDE3-CBC",
                                                  prot_params={"iteration_count": 1_000}))
    assert load_wallet(wallet, "pässwörd").account == kept_key(2).account


def test_a_wrong_passphrase_says_so_and_changes_nothing(wallet: Path) -> None:
    content = wallet.read_bytes()
    for counter in range(300):  # one of 256 leaves padding that looks right
        assert fault_of(lambda: load_or_make_wallet(wallet, f"wrong {counter}"), wallet) == "wrong passphrase"  # noqa: B023
    assert wallet.read_bytes() == content


def test_an_empty_passphrase_makes_and_opens_nothing(wallet: Path) -> None:
    missing = wallet.with_name("missing.pem")
    assert "empty passphrase" in fault_of(lambda: load_or_make_wallet(wallet, ""), wallet)
    assert "empty passphrase" in fault_of(lambda: load_wallet(wallet, ""), wallet)
    assert "empty passphrase" in fault_of(lambda: load_or_make_wallet(missing, ""), missing)
    assert not missing.exists()


def pem_of(key: RSA.RsaKey | ECC.EccKey) -> bytes:
    """A wallet with any key."""
    container = key.export_key(format="DER") if isinstance(key, ECC.EccKey) else key.export_key(format="DER", pkcs=8)
    oid, encoded, parameters = PKCS8.unwrap(container)
    wallet = PKCS8.wrap(encoded, oid, PASSPHRASE, "PBKDF2WithHMAC-SHA512AndAES256-CBC", {"iteration_count": 1_000},
                        DerObject().decode(parameters) if parameters else DerNull())
    return PEM.encode(wallet, "ENCRYPTED PRIVATE KEY").encode()


def short_key() -> RSA.RsaKey:
    """A key that can sign but is too short. Its other factor is 3, so that nobody waits for a prime to be found."""
    factor = int(kept_key(1).key.p)
    return RSA.construct((3 * factor, 65_537, pow(65_537, -1, factor - 1), 3, factor), consistency_check=False)


PLAIN = (KEYS / "key-1.pem").read_bytes()
ENCRYPTED = pem_of(kept_key(1).key)
NOT_OURS = "not an RSA key of 2048 to 4096 bits with exponent 65537"
NO_WALLETS = {
    "empty": (b"", "the file is empty, expected a wallet"),
    "text": (b"hello\n", "not a wallet"),
    "bytes": (bytes(range(256)) * 10, "not a wallet"),
    "a public key": (kept_key(1).key.public_key().export_key(), "a public key, expected a wallet"),
    "PKCS#1": (kept_key(1).key.export_key(pkcs=1), "a key in PKCS#1, expected a wallet"),
    "not encrypted": (PLAIN, "the key in it is not encrypted"),
    "cut off": (ENCRYPTED[:-60], "damaged"),
    "only the first line": (ENCRYPTED.split(b"\n")[0] + b"\n", "damaged"),
    "a line missing": (b"\n".join(line for number, line in enumerate(ENCRYPTED.split(b"\n")) if number != 5), "damaged"),
    "not base64": (ENCRYPTED.replace(b"M", b"\xff"), "damaged"),
    "too short": (pem_of(short_key()), NOT_OURS),
    "another exponent": (pem_of(RSA.construct((int(kept_key(1).key.n), 257, pow(257, -1, (int(kept_key(1).key.p) - 1)
                                               * (int(kept_key(1).key.q) - 1))))), NOT_OURS),
    "an elliptic curve": (pem_of(ECC.construct(curve="p256", d=5)), NOT_OURS),
}


@pytest.mark.parametrize(("content", "fault"), NO_WALLETS.values(), ids=NO_WALLETS)
def test_a_file_that_is_no_wallet_is_refused_with_a_reason_and_not_changed(
    tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "wallet.pem"
    path.write_bytes(content)
    assert fault in fault_of(lambda: load_or_make_wallet(path, PASSPHRASE), path)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["wallet.pem"]


def numbers_that_do_not_go_together() -> dict[str, tuple[int, int, int, int]]:
    """Modulus, private exponent and both factors of keys that cannot sign."""
    key, other = kept_key(1).key, kept_key(2).key
    n, d, p, q = int(key.n), int(key.d), int(key.p), int(key.q)
    composite = q + 2
    exponent = pow(65_537, -1, math.lcm(p - 1, composite - 1))
    return {"another private exponent": (n, d + 2, p, q), "another modulus": (int(other.n), d, p, q),
            "another factor": (n, d, p, int(other.q)), "a factor that is not prime": (p * composite, exponent, p, composite),
            "the modulus is even": (2 * p * q, d, 2 * p, q), "one factor is all": (n, d, 1, n), "no factor": (n, d, 0, 0),
            "the same factor twice": (p * p, d, p, p), "a factor below zero": (n, d, -p, -q), "no exponent": (n, 0, p, q)}


@pytest.mark.parametrize("numbers", numbers_that_do_not_go_together().values(), ids=numbers_that_do_not_go_together())
def test_a_key_that_cannot_sign_is_damaged(tmp_path: Path, numbers: tuple[int, int, int, int]) -> None:
    modulus, private, *factors = numbers
    encoded = DerSequence([0, modulus, 65_537, private, *factors, 1, 1, 1]).encode()
    container = PKCS8.wrap(encoded, wallets.RSA_OID, key_params=DerNull())
    path = tmp_path / "key-1.pem"
    path.write_text(PEM.encode(container, "PRIVATE KEY"))
    assert fault_of(lambda: load_key(path), path) == "the key in it is damaged; restore the file from a backup"


def test_a_wallet_with_the_line_ends_of_another_system_is_a_wallet(wallet: Path) -> None:
    wallet.write_bytes(b"\n" + wallet.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert load_wallet(wallet, PASSPHRASE).account == kept_key(1).account


def test_paths_that_cannot_hold_a_wallet(tmp_path: Path, wallet: Path) -> None:
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    faults = {tmp_path: "Is a directory", tmp_path / "no" / "wallet": "No such file or directory",
              wallet / "wallet": "Not a directory", dangling: "No such file or directory",
              Path("/dev/zero"): "not a wallet", tmp_path / ("x" * 300): "File name too long"}
    for path, fault in faults.items():
        assert fault in fault_of(lambda: load_or_make_wallet(path, PASSPHRASE), path)  # noqa: B023
    assert sorted(os.listdir(tmp_path)) == ["dangling", "wallet.pem"]


def test_an_unreadable_file_says_so(wallet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(new_files, "open", refuse, raising=False)  # root may read everything
    assert fault_of(lambda: load_or_make_wallet(wallet, PASSPHRASE), wallet) == describe_file_error(PermissionError(13, "Permission denied"))


@pytest.mark.parametrize("step", ["fsync", "link"])
def test_a_wallet_that_cannot_be_written_leaves_nothing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*_arguments: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    path = tmp_path / "wallet.pem"
    assert fault_of(lambda: load_or_make_wallet(path, PASSPHRASE), path) == describe_file_error(OSError(28, "No space left on device"))
    assert os.listdir(tmp_path) == []


def test_a_wallet_has_its_name_only_when_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wallet.pem"
    steps: list[tuple[str, bool]] = []

    def noted(name: str, step: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: Any) -> None:
            steps.append((name, path.exists()))
            step(*arguments)
        return run

    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(os, "link", noted("link", os.link))
    load_or_make_wallet(path, PASSPHRASE)
    assert steps == [("fsync", False), ("link", False), ("fsync", True)]


def test_of_two_that_make_a_wallet_at_once_one_wins_and_the_other_loads_it(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both_are_making = threading.Barrier(2, timeout=20)
    keys = [kept_key(1), kept_key(2)]

    def make_key() -> PrivateKey:
        key = keys.pop()
        both_are_making.wait()
        return key

    monkeypatch.setattr(rsa, "make_key", make_key)
    path = tmp_path / "wallet.pem"
    accounts: list[str] = []
    threads = [threading.Thread(target=lambda: accounts.append(load_or_make_wallet(path, PASSPHRASE).account))
               for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert keys == [] and len(accounts) == 2 and len(set(accounts)) == 1
    assert load_wallet(path, PASSPHRASE).account == accounts[0]
    assert os.listdir(tmp_path) == ["wallet.pem"]


def test_a_process_that_loads_the_wallet_of_another_syncs_its_name_as_well(
        wallet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(stat.S_ISDIR(os.fstat(number).st_mode)))
    assert not new_files.write_new(wallet, b"another one")
    assert synced == [False, True], "the draft, and then the folder"


# --- a disk without hard links ------------------------------------------------------------------

@pytest.fixture(params=[errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES], ids=os.strerror)
def no_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that has no hard links, and cannot sync folders."""
    fsync = os.fsync

    def link(*_arguments: object) -> NoReturn:
        raise OSError(request.param, os.strerror(request.param))

    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(os, "fsync", sync)


@pytest.mark.usefixtures("no_links", "open_umask")
def test_files_of_keys_are_made_on_a_disk_without_hard_links(tmp_path: Path) -> None:
    wallet = tmp_path / "wallet.pem"
    account = load_or_make_wallet(wallet, PASSPHRASE).account
    assert load_or_make_wallet(wallet, PASSPHRASE).account == account
    made = [key.account for key in load_or_make_keys(tmp_path / "keys", 2)]
    assert [key.account for key in load_or_make_keys(tmp_path / "keys", 2)] == made
    assert mode(wallet) == mode(tmp_path / "keys" / "key-1.pem") == 0o600
    assert sorted(os.listdir(tmp_path)) == ["keys", "wallet.pem"]
    assert sorted(os.listdir(tmp_path / "keys")) == ["key-1.pem", "key-2.pem"]


@pytest.mark.usefixtures("no_links")
def test_without_hard_links_a_wallet_is_never_half_made_nor_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wallet.pem"
    replace = os.replace
    contents = []

    def noted(draft: str, name: Path) -> None:
        contents.append(name.read_bytes())
        assert not new_files.write_new(name, b"another")
        replace(draft, name)

    monkeypatch.setattr(os, "replace", noted)
    load_or_make_wallet(path, PASSPHRASE)
    assert contents == [b""] and load_wallet(path, PASSPHRASE).account == kept_key(1).account
    assert os.listdir(tmp_path) == ["wallet.pem"]


@pytest.mark.usefixtures("no_links")
def test_without_hard_links_a_wallet_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    path = tmp_path / "wallet.pem"
    assert fault_of(lambda: load_or_make_wallet(path, PASSPHRASE), path) == describe_file_error(OSError(28, "No space left on device"))
    assert os.listdir(tmp_path) == []


def test_an_empty_file_is_waited_for_until_its_maker_has_written_it(
        wallet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = wallet.read_bytes()
    wallet.write_bytes(b"")
    monkeypatch.setattr(new_files, "PATIENCE", 60)
    monkeypatch.setattr(time, "sleep", lambda _seconds: wallet.write_bytes(content))
    assert load_or_make_wallet(wallet, PASSPHRASE).account == kept_key(1).account


def test_of_two_that_make_a_wallet_with_different_passphrases_the_second_is_told(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wallet.pem"

    def make_key() -> PrivateKey:
        monkeypatch.setattr(rsa, "make_key", lambda: kept_key(2))
        load_or_make_wallet(path, "another passphrase")
        return kept_key(1)

    monkeypatch.setattr(rsa, "make_key", make_key)
    assert fault_of(lambda: load_or_make_wallet(path, PASSPHRASE), path) == (
        "wrong passphrase; another program has made this file at the same time")
    assert load_wallet(path, "another passphrase").account == kept_key(2).account


# --- genesis keys -------------------------------------------------------------------------------

@pytest.mark.usefixtures("open_umask")
def test_missing_keys_are_made_and_existing_ones_kept(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "keys"
    folder.mkdir(parents=True)
    (folder / "key-2.pem").write_bytes((KEYS / "key-12.pem").read_bytes())
    told: list[str] = []
    keys = load_or_make_keys(folder, 3, on_progress=told.append)
    assert [key.account for key in keys] == [kept_key(number).account for number in (1, 12, 2)]
    assert [line.split(":")[0] for line in told] == ["making key 1 of 3", "making key 3 of 3"]
    assert sorted(os.listdir(folder)) == ["key-1.pem", "key-2.pem", "key-3.pem"]
    assert [mode(folder / f"key-{number}.pem") for number in (1, 3)] == [0o600] * 2
    assert (folder / "key-1.pem").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")


def test_the_folder_is_made_and_the_keys_are_the_same_the_next_time(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "keys"
    made = [key.account for key in load_or_make_keys(folder, 2)]
    assert mode(folder) & 0o077 == 0
    assert [key.account for key in load_or_make_keys(folder, 2)] == made


def test_several_that_make_the_keys_at_once_all_get_the_same(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    all_have_begun = threading.Barrier(3, timeout=20)
    keys = [kept_key(number) for number in range(1, 10)]
    made: list[list[str]] = []

    def make_all() -> None:
        all_have_begun.wait()
        made.append([key.account for key in load_or_make_keys(tmp_path / "run" / "keys", 3)])

    monkeypatch.setattr(rsa, "make_key", keys.pop)
    threads = [threading.Thread(target=make_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(made) == 3 and made[0] == made[1] == made[2] and len(set(made[0])) == 3
    assert sorted(os.listdir(tmp_path / "run" / "keys")) == ["key-1.pem", "key-2.pem", "key-3.pem"]


def test_a_missing_key_that_is_only_read_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "key-1.pem"
    assert fault_of(lambda: load_key(path), path) == "No such file or directory; check the path, and that its folder is there"
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "keys"
    assert fault_of(lambda: load_or_make_keys(folder, 1), folder).startswith("Not a directory; ")
    assert fault_of(lambda: load_or_make_keys(tmp_path / "file", 1), tmp_path / "file").startswith("File exists; ")


@pytest.mark.parametrize(("content", "fault"), [
    (b"", "the file is empty, expected an unencrypted RSA key"), (ENCRYPTED, "the key in it is encrypted"), (PLAIN[:-100], "damaged"),
    (PLAIN.replace(b"MII", b"MIJ", 1), "damaged"),
    (kept_key(1).key.export_key(pkcs=1), "a key in PKCS#1, expected an unencrypted RSA key in PEM (PKCS#8)"),
    (short_key().export_key(pkcs=8), NOT_OURS),
    (ECC.construct(curve="p256", d=5).export_key(format="PEM").encode(), NOT_OURS),
], ids=["empty", "encrypted", "cut off", "wrong length", "PKCS#1", "too short", "elliptic curve"])
def test_a_file_without_a_genesis_key_is_refused_with_a_reason_and_not_changed(
        tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "key-1.pem"
    path.write_bytes(content)
    assert fault in fault_of(lambda: load_key(path), path)
    assert fault in fault_of(lambda: load_or_make_keys(tmp_path, 1), path)
    assert path.read_bytes() == content
