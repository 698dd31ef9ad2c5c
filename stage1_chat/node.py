"""Stage 1: a chat room. Whatever anyone types is printed at every node.

`peering.py` has the connections. It joins or founds a network, and brings each
message to the handler that is named after it. This module has the chat room
itself: passing on what is new, and the commands.
"""

from collections.abc import Callable
from typing import Any

from common.bounded import Recent
from common.console import count
from common.encoding import (NONCE, Field, Message, Shape, canon, encode_frame, is_text, make_id, make_nonce,
                             shorten, split_address, without_padding)
from common.interface import Command, CommandError, Connection, Lines, Network, Setup
from stage1_chat.limits import MAX_HISTORY, MAX_HISTORY_BYTES
from stage1_chat.peering import PeeringNode

MAX_TEXT = 4_096
"""The longest chat message, in characters (contract §3)."""


DEFAULTS = Setup()


class ChatNode(PeeringNode):
    """A node of the chat room."""

    STAGE = 1

    SHAPES: dict[str, Shape] = {
        **PeeringNode.SHAPES,
        "chat": {"nonce": NONCE,
                 "text": Field(lambda value: is_text(value, 1, MAX_TEXT), f"1 to {MAX_TEXT} characters")},
    }

    COMMANDS: dict[str, Command] = {
        "help": Command("/help", "list the commands"),
        "peers": Command("/peers", "list the known nodes, this one included"),
        "quit": Command("/quit", "end this node"),
    }
    """What can be typed: name -> usage. The method `command_NAME` carries it out."""

    EVENTS: dict[str, Lines] = {
        "listening": lambda m: [f"listening on {m['address']}"],
        "founded": lambda m: ["founded a network"],
        "joined": lambda m: [f"joined the network of {m['peer']}"],
        "help": lambda m: [f"{command['command']:<28}  {command['meaning']}" for command in m["commands"]],
        "peer": lambda m: [f"peer {m['address']} is {m['state']}"],
        "chat": lambda m: [m["text"]],
        "peers": lambda m: [*m["addresses"], f"{count(len(m['addresses']), 'node')} known,"
                                             f" {count(m['connections'], 'connection')} up"],
        "error": lambda m: [f"error {m['code']}: {m['reason']}"],
    }
    """How people are told of each event of contract §4: its name -> a function from its members to lines."""

    def __init__(self, network: Network, address: str, setup: Setup = DEFAULTS) -> None:
        super().__init__(network, address, setup)
        self.history: dict[str, bytes] = {}
        """The newest chat messages, id -> frame, for late joiners."""
        self._history_bytes = 0
        self.seen_ids = Recent()
        """The ids of the chat messages that have come so far. A message that comes back around a circle of nodes stops
        here."""

    def on_ready(self) -> None:
        """The node belongs to a network: say where it listens, and take commands."""
        self.report("listening", **self.describe())
        self.network.read_lines()

    def describe(self) -> dict[str, Any]:
        """The members of the event `listening`. A hook."""
        return {"address": self.address, "stage": self.STAGE, "network": self.network_name}

    def greetings(self) -> list[Callable[[Connection], None]]:
        """What was said before a new neighbour came (contract §3, stage 1)."""
        return [*super().greetings(), self._send_history]

    def _send_history(self, connection: Connection) -> None:
        for frame in self.history.values():
            connection.send(frame)

    # --- chat -----------------------------------------------------------------------------------

    def on_chat(self, connection: Connection | None, message: Message, frame: bytes) -> None:
        """A chat message, from a peer or (connection None) from this node's user: print it and pass it on."""
        chat_id = make_id(canon(["chat", self.network_name, message["nonce"], message["text"]]))
        if chat_id in self.seen_ids or chat_id in self.history:
            return
        self.seen_ids.add(chat_id)
        self._remember(chat_id, without_padding(frame, message))
        self.report("chat", text=message["text"])
        self.flood(frame, connection)

    def _remember(self, chat_id: str, frame: bytes) -> None:
        """Keep a message for late joiners, and forget the oldest ones if there are too many, or too long ones."""
        self.history[chat_id] = frame
        self._history_bytes += len(frame)
        while len(self.history) > MAX_HISTORY or self._history_bytes > MAX_HISTORY_BYTES:
            self._history_bytes -= len(self.history.pop(next(iter(self.history))))

    # --- the user -------------------------------------------------------------------------------

    def on_line(self, line: str) -> None:
        """A line that was typed: a chat message, or a command if it begins with one slash (contract §4). Of two slashes
        the first is taken off, and does not count in the length of the message."""
        try:
            if line.startswith("/") and not line.startswith("//"):
                self._run_command(line[1:].split())
            elif line:
                self.say(line.removeprefix("/") if line.startswith("//") else line)
        except CommandError as error:
            self.report_error(error.code, str(error))

    def say(self, text: str) -> None:
        """Send a chat message; CommandError if `text` cannot be one. Nothing in it tells who wrote it."""
        if len(text) > MAX_TEXT:
            raise CommandError(f"a message has 1 to {MAX_TEXT} characters, this one has {len(text)}")
        if not is_text(text, 1, MAX_TEXT):
            raise CommandError("a message is typed in UTF-8, and this one is not")
        message = {"type": "chat", "nonce": make_nonce(self.network.random), "text": text}
        self.on_chat(None, message, encode_frame(message))

    def words(self) -> list[str]:
        """What Tab completes: the commands, and in later stages the accounts that are known. A hook."""
        return [f"/{name}" for name in self.COMMANDS]

    def _run_command(self, words: list[str]) -> None:
        """Carry out a command; CommandError if there is none of this name, or its arguments are wrong."""
        name = words[0] if words else ""
        if name not in self.COMMANDS:
            raise CommandError(f"no command /{shorten(name)}; /help lists the commands")
        getattr(self, f"command_{name}")(words[1:])

    def command_help(self, arguments: list[str]) -> None:
        """`/help`: list the commands."""
        self.COMMANDS["help"].expect(arguments)
        self.report("help", commands=[{"command": usage, "meaning": meaning}
                                      for usage, meaning in self.COMMANDS.values()])

    def command_peers(self, arguments: list[str]) -> None:
        """`/peers`: list the addresses known, and how many connections are up."""
        self.COMMANDS["peers"].expect(arguments)
        self.report("peers", addresses=self.peers(), connections=len(self.links))

    def peers(self) -> list[str]:
        """The addresses known, this node's own included. A hook; in stage 1 these are the neighbours'."""
        addresses = {self.address} | {link.address for link in self.links if link.address}
        return sorted(addresses, key=split_address)

    def command_quit(self, arguments: list[str]) -> None:
        """`/quit`: end this node."""
        self.COMMANDS["quit"].expect(arguments)
        self.network.stop()
