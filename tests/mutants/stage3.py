"""Wrong signed ledgers."""

from tests.mutants import Change, make_list, mutant

NODE, LEDGER_NODE, MAIN = "stage3_signed.node", "stage2_ledger.node", "stage3_signed.__main__"
RSA, WALLETS, ENCODING, NEW_FILES = "common.rsa", "common.wallets", "common.encoding", "common.new_files"
VERIFY = 'verify(message["from"], canonical, message["signature"])'
KEEP_SEEN = "        known = self.frames.get(transaction.id)\n"
SIGN = "key.sign(self.transaction_bytes(message))"
ID_OF = ('return canon(["transaction", self.network_name, message["nonce"],\n'
         '                      message["from"], message["to"], message["amount"]])')


def signed_without(member: str, in_its_place: str) -> tuple[Change, ...]:
    """Signs and verifies bytes in which one value of the transaction is replaced."""
    values = ["self.network_name", 'message["nonce"]', 'message["from"]', 'message["to"]', 'message["amount"]']
    text = f'canon(["transaction", {", ".join(in_its_place if one == member else one for one in values)}])'
    return ((NODE, VERIFY, f'verify(message["from"], {text}, message["signature"])'), (NODE, SIGN, f"key.sign({text})"),
            (NODE, "import INTEGER, ", "import canon, INTEGER, "))


MUTANTS = make_list(3, [
    # --- what is signed
    mutant("verifies-nothing", "does not verify signatures",
           "3.forgery.the-amount-was-changed 3.forgery.the-signature-is-empty 3.forgery-later",
           (NODE, VERIFY, "pass")),
    mutant("amount-not-signed", "leaves the amount out of what is signed", "3.forgery.the-amount-was-changed 3.is-signed",
           *signed_without('message["amount"]', "0")),
    mutant("receiver-not-signed", "leaves the receiver out of what is signed",
           "3.forgery.the-receiver-was-changed 3.is-signed", *signed_without('message["to"]', '""')),
    mutant("nonce-not-signed", "leaves the nonce out of what is signed",
           "3.forgery.the-nonce-was-changed 3.is-signed", *signed_without('message["nonce"]', '""')),
    mutant("network-not-signed", "leaves the network out of what is signed",
           "3.forgery.it-was-signed-for-another-network 3.is-signed", *signed_without("self.network_name", '""')),
    mutant("any-key", "accepts a signature of any key that it knows", "3.forgery.it-was-signed-by-somebody-else",
           (NODE, "            " + VERIFY,
            "            for number in range(1, 5):\n"
            "                from pathlib import Path\n"
            "                from common.rsa import load_key\n"
            "                try:\n"
            "                    verify(load_key(Path(f'tests/keys/key-{number}.pem')).account, canonical,"
            " message['signature'])\n"
            "                    return\n"
            "                except ValueError:\n"
            "                    pass\n"
            "            " + VERIFY)),
    mutant("empty-signature", "verifies a signature only if there is one", "3.forgery.the-signature-is-empty",
           (NODE, VERIFY, "if message['signature']:\n                " + VERIFY)),
    mutant("own-not-signed", "sends an empty signature", "3.is-signed 3.mixed-money",
           (NODE, SIGN, '""'),
           (LEDGER_NODE, "        if known is None or decode_frame(known) != message:",
            "        if connection is not None and (known is None or decode_frame(known) != message):")),
    mutant("signs-the-id", "signs the id and not the canonical bytes", "3.is-signed 3.signed",
           (NODE, SIGN, "key.sign(self.transaction_id(message).encode())"),
           (NODE, VERIFY, 'verify(message["from"], self.transaction_id(message).encode(), message["signature"])')),
    mutant("seen-before-verified", "marks a transaction as seen before it is verified", "3.forged-copy-first",
           (LEDGER_NODE, KEEP_SEEN, KEEP_SEEN + "        if transaction.id in self.seen_ids:\n            return\n"
                                                "        self.seen_ids.add(transaction.id)\n")),
    mutant("forgeries-forwarded", "forwards a forgery", "3.forgery-later 3.forgery.the-amount-was-changed",
           (LEDGER_NODE, KEEP_SEEN, "        self.flood(frame, connection)\n" + KEEP_SEEN)),
    mutant("forgeries-kept", "applies a transaction before it verifies it", "3.forgery.the-nonce-was-changed",
           (LEDGER_NODE, KEEP_SEEN, KEEP_SEEN + "        if known is None:\n            self.ledger.apply(transaction)\n"),
           (LEDGER_NODE, '        """What a new transaction does: it is applied. A hook; in stage 4 it waits for a block."""\n'
            "        self.ledger.apply(transaction)\n", "        pass\n")),
    # --- money
    mutant("applied-each-time", "applies a transaction each time that it comes", "3.replay 3.counts-once",
           ("stage1_chat.peering", "return connection in self.links and hash(frame) in self.neighbours.seen_frames",
            "return False"),
           (LEDGER_NODE, "        if self.is_kept(transaction.id):\n            return\n",
            "        if self.is_kept(transaction.id):\n            self.ledger.apply(transaction)\n            return\n")),
    mutant("own-counts-twice", "applies its own transaction once more", "3.money 3.counts-once",
           (LEDGER_NODE, "        self.report_sent(transaction_id)\n",
            "        self.ledger.apply(self.transactions[transaction_id])\n        self.report_sent(transaction_id)\n")),
    mutant("no-overdraft", "refuses what the sender does not have", "3.overdraft 3.money",
           (LEDGER_NODE, "        self.ledger.apply(transaction)",
            "        if self.ledger.balance(transaction.sender) >= transaction.amount:\n"
            "            self.ledger.apply(transaction)")),
    mutant("no-history", "gives a late joiner only what comes from then on", "3.late-ledger 3.comes-back",
           ("stage2_ledger.reconcile", "    def begin(self, connection: Connection) -> None:\n",
            "    def begin(self, connection: Connection) -> None:\n        return\n"),
           ("stage2_ledger.reconcile",
            "        comparison = self._with(connection)\n        comparison.knows_sums = True\n", "        return\n")),
    # --- accounts on the command line
    mutant("account-is-name", "has a name in place of its account", "3.account",
           (NODE, 'self.report("account", account=account,', 'self.report("account", account="me",')),
    mutant("one-key-for-all", "has the same key wherever it is started", "3.two-accounts",
           (MAIN, "return make_key()", "return load_or_make_key(Path('tests/keys/key-9.pem'))")),
    mutant("short-fingerprint", "does not find an account by digits of its fingerprint", "3.fingerprint",
           (NODE, "if fingerprint(account).startswith(text)]", "if account.startswith(text)]")),
    mutant("fingerprint-of-text", "uses the hash of the base64 as the fingerprint", "3.fingerprint-of-the-contract",
           (ENCODING, "hashlib.sha256(decode_base64(account)).hexdigest()[:16]",
            "hashlib.sha256(account.encode()).hexdigest()[:16]")),
    mutant("pays-anybody", "pays whatever is typed", "3.unknown-account.0000000000000000 3.unknown-account.alice",
           (NODE, "        if is_fingerprint_prefix(text):",
            "        if len(text) <= 16:\n            return self.key.account\n        if is_fingerprint_prefix(text):")),
    # --- wallets
    mutant("wallet-not-kept", "makes a new key at each start", "3.wallet 3.foreign-wallet",
           (RSA, "    if os.path.lexists(path):\n        return load_wallet(path, passphrase)\n", ""),
           (RSA, "    try:\n        return load_wallet(path, passphrase)\n", "    try:\n        return key\n")),
    mutant("wallet-in-the-clear", "writes a wallet that is not encrypted", "3.wallet-format",
           (RSA, "wallet = key.key.export_key(pkcs=8, passphrase=secret, protection=_PROTECTION,\n"
                 '                                prot_params={"iteration_count": _ROUNDS})',
            "wallet = key.key.export_key(pkcs=8)")),
    mutant("wallet-for-all", "writes a wallet that everybody may read", "3.wallet-mode",
           (RSA, "    if write_key(path, wallet):\n        return key\n",
            "    if write_key(path, wallet):\n        path.chmod(0o644)\n        return key\n")),
    mutant("wrong-passphrase", "makes a new wallet if the passphrase is wrong", "3.wrong-passphrase 3.no-wallet",
           (RSA, "        return load_wallet(path, passphrase)\n    key",
            "        try:\n            return load_wallet(path, passphrase)\n        except WalletError:\n"
            "            path.unlink()\n    key")),
    mutant("key-not-in-data", "has a new key after a crash", "3.data",
           (MAIN, "        if wallet.exists() or (os.environ", "        return make_key()\n        if (os.environ")),
    # --- forms
    mutant("forgiving-base64", "reads base64 that is not in its one form",
           "3.other-form.a-second-base64-of-the-signature",
           (ENCODING, "    if base64.b64encode(data).decode() != text:", "    if False:")),
    mutant("crash-at-base64", "does not verify a signature that is not base64",
           "3.other-form.the-signature-is-not-base64",
           (NODE, VERIFY, "if ' ' not in message['signature']:\n                " + VERIFY)),
    mutant("names-are-keys", "accepts a name as an account without a key", "3.other-form.the-sender-is-not-a-key",
           (NODE, VERIFY, "if len(message['from']) > 64:\n                " + VERIFY)),
    mutant("plus-modulus", "accepts a signature that is larger than the modulus",
           "3.other-form.the-signature-plus-the-modulus",
           (RSA, "    if number >= modulus:", "    if False:")),
    mutant("zero-in-front", "accepts a signature of any length", "3.other-form.a-zero-byte-in-front-of-the-signature",
           (RSA, "    if len(signature) != 4 * ((size + 2) // 3):", "    if False:"),
           (RSA, "    if len(data) != size:", "    if False:")),
    mutant("without-null", "verifies with a library that accepts both paddings",
           "3.other-form.the-padding-without-NULL",
           (RSA, "    if pow(number, _PUBLIC_EXPONENT, modulus).to_bytes(size) != _pad_hash(canonical, size):",
            "    key = RSA.construct((int(modulus), EXPONENT), consistency_check=False)\n"
            "    try:\n"
            "        pkcs1_15.new(key).verify(SHA256.new(canonical), number.to_bytes(size))\n"
            "    except ValueError:")),
    mutant("key-of-the-library", "accepts every key that its library reads",
           "3.other-form.the-key-in-another-encoding 3.other-form.a-key-of-1-024-bits",
           (RSA, "not MIN_BITS <= modulus.bit_length() <= MAX_BITS or _encode_key(modulus) != encoded:", "not modulus:")),
    mutant("short-keys", "accepts short keys", "3.other-form.a-key-of-1-024-bits",
           (RSA, "not MIN_BITS <= modulus.bit_length() <= MAX_BITS or", "")),
    mutant("pem", "ignores line breaks in a key", "3.other-form.the-key-with-line-breaks",
           (RSA, "        encoded = decode_base64(account)\n",
            '        encoded = decode_base64(account.replace("\\n", ""))\n')),
    mutant("any-exponent", "verifies with the exponent that a key names", "3.other-form.the-key-with-another-exponent",
           (RSA, "not MIN_BITS <= modulus.bit_length() <= MAX_BITS or _encode_key(modulus) != encoded:", "not modulus:"),
           (RSA, "pow(number, _PUBLIC_EXPONENT, modulus)",
            "pow(number, Integer(RSA.import_key(decode_base64(account)).e), modulus)")),
    mutant("forgives-for-ever", "accepts any number of invalid messages", "3.tenth",
           ("common.refusals", "if connection.invalid >= MAX_INVALID:", "if False:")),
    mutant("repeats-are-invalid", "counts a repeat as invalid", "3.repeats-do-not-count 3.replay",
           ("stage1_chat.peering", "return connection in self.links and hash(frame) in self.neighbours.seen_frames",
            "return False"),
           (LEDGER_NODE, "        if self.is_kept(transaction.id):\n            return\n",
            '        if self.is_kept(transaction.id):\n            raise Invalid("again")\n'),
           (LEDGER_NODE, "from stage1_chat.node import ChatNode",
            "from common.interface import Invalid\nfrom stage1_chat.node import ChatNode")),
    mutant("signature-any-type", "crashes in the handler at a signature that is a number", "3.signature-a-number",
           (NODE, '"signature": STRING}', '"signature": STRING._replace(is_good=lambda value: True)}')),
    mutant("signature-missing", "crashes in the handler at a transaction without a signature", "3.no-signature",
           (ENCODING, 'raise FormatError(f"{name}: member {member} is missing")', "continue")),
])
