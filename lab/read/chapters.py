"""The order in which a node is read: the chapters, and what belongs to each."""

from typing import NamedTuple


class Plan(NamedTuple):
    """What belongs to a chapter."""

    title: str
    about: str
    """What the reader finds here."""
    sections: tuple[str, ...] = ()
    """Sections of the node's classes, as `CLASS: HEADING`, where HEADING is that of a comment `# --- HEADING ---`. A
    method belongs to the section that defines it first. What is above the first heading of a class is `CLASS:`."""
    files: tuple[str, ...] = ()
    """Files of which everything except the node's classes belongs here, in every stage that has a file of this name."""


PLANS = (
    Plan("The program", "It reads its options and makes a node. What each stage adds is said here, too.", (),
         ("__init__.py", "__main__.py", "peering.py", "node.py", "total_order.py")),
    Plan("How a node starts", "What a node has, and how it joins a network or founds one.",
         ("PeeringNode:", "ChatNode:", "LedgerNode:", "SignedNode:", "TotalOrderNode:", "SequencedNode:", "StakeNode:",
          "PeeringNode: its network"), ("joining.py",)),
    Plan("Listen and call", "Threads and sockets are here and nowhere else. Connections come and go.",
         ("PeeringNode: connections come and go",),
         ("network.py", "openings.py", "connection.py", "neighbours.py", "redial.py")),
    Plan("Hello", "Two nodes agree that they are of the same stage and the same network.", ("PeeringNode: hello",),
         ("handshake.py",)),
    Plan("From bytes to a handler", "A frame comes in. The node checks it, and finds the method for its type.",
         ("PeeringNode: messages", "PeeringNode: words for the user")),
    Plan("Chat", "The first message that is passed on to everyone.", ("ChatNode: chat",)),
    Plan("Who is in the network", "Each node knows all the others, and keeps connections along a ring.",
         ("LedgerNode: the network and the neighbours",), ("membership.py", "ring.py")),
    Plan("A transaction", "It is checked, kept, passed on, and applied to a ledger.",
         ("LedgerNode: transactions", "LedgerNode: passing on", "SignedNode: transactions", "StakeNode: transactions")),
    Plan("What a node has missed", "Two nodes compare what they have, and fetch the difference.",
         ("LedgerNode: reconciliation",), ("gossip.py", "id_tree.py", "reconcile.py", "fetcher.py", "missing.py")),
    Plan("After a crash", "What the node has kept is replayed.", ("LedgerNode: after a crash",),
         ("keeping.py", "noted_peers.py")),
    Plan("Genesis", "What all nodes of a network start from.",
         ("TotalOrderNode: genesis", "SequencedNode: genesis", "StakeNode: genesis"), ("genesis.py",)),
    Plan("The pool", "Transactions wait here for a block.", ("TotalOrderNode: the pool",), ("pool.py",)),
    Plan("Who makes a block", "The sequencer in stage 4; in stage 5, whoever wins the lottery for a slot.",
         ("SequencedNode: the sequencer",), ("clock.py", "lottery.py", "maker.py")),
    Plan("A block arrives", "It is checked, waits for what it lacks, and takes effect.",
         ("SequencedNode: blocks", "SequencedNode: execution", "StakeNode: blocks arrive",
          "StakeNode: blocks wait, and enter the tree"),
         ("block.py", "rules.py", "evidence.py", "waiting.py", "postponed.py", "order.py")),
    Plan("Which blocks count", "The best chain, the ledger that follows it, and rollback.", (),
         ("tree.py", "chain.py", "ledger.py", "side.py")),
    Plan("Catching up", "How blocks that were missed are fetched.", ("SequencedNode: catching up",),
         ("catching_up.py", "sources.py")),
    Plan("The user", "What can be typed, and what people are told.",
         ("ChatNode: the user", "LedgerNode: the user", "SignedNode: the user", "TotalOrderNode: the user",
          "SequencedNode: the user", "StakeNode: the user"),
         ("words.py", "drawing.py")),
    Plan("Bounds", "How much a node holds, and does for others.", (), ("limits.py",)),
)

REST = Plan("What has no chapter yet", "Name its section or its file in lab/read/chapters.py.")
"""It makes sure that nothing is missing from the text. A test checks that it stays empty."""

COMMON = Plan("The library", "The code of common/ that this stage runs.")
"""The chapter for common/. It is there only with ALL=1."""
