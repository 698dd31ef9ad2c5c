"""What knows a node only from outside, by the contract: a peer that is scripted, and a node as a process.

In: the wire of contract §1 and §2, the command line and the events of §4. Out: what the node has said. It imports
only the standard library, which tests/house/test_house.py holds, so what is built on it measures nodes that others
wrote. It is in lab/ and not in tests/, because lab/ may not import tests/, and both of them extend it.
"""
