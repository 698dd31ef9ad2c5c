"""Tools that know a node only from outside, by the contract: a scripted peer, and a node as a process.

In: the wire of contract §1 to §3, the command line and the events of §4. Out: what the node has said. It imports only
the standard library (tests/house/test_house.py checks that), so tools built on it can measure nodes that others wrote.
It is in lab/ and not in tests/ because both extend it, and lab/ may not import tests/.
"""
