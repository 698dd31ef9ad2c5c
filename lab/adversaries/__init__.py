"""Nodes and peers that break the rules, for attacks, for `make network` and for tests.

In: the honest classes of the stages, and options. Out: classes that replace them (dishonest_nodes.py), sockets that
say what no node would (raw_peers.py), and a process that runs an attacker (evil.py).
"""
