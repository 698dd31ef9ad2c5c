"""Closed forms and recurrences for graphs: how far a message goes, and what share stays together when nodes fail.

One ring links each node to its ten successors; both ends use a link, so a node has twenty. The other ring has two
random links more for each node, and on average as many that others open to it. `failed` is the share of all nodes that
fail, each as likely as any other.
"""

import math

from stage2_ledger.limits import RANDOM_LINKS, RING_LINKS

ENOUGH = 10_000
"""Steps after which a recurrence has settled to more digits than anybody reads."""


def ring_hops(nodes: float) -> float:
    """Hops to the farthest node of a ring: half of the ring, ten places a hop."""
    return nodes / 2 / RING_LINKS


def regular_hops(nodes: float, degree: int) -> float:
    """Hops to most nodes of a random regular graph: each new one leads to d − 1 others (Bollobás and Fernandez de la
    Vega, "The diameter of random regular graphs", 1982). The last few nodes lie a hop or two farther."""
    return math.log(nodes) / math.log(degree - 1)


def ring_and_random_growth() -> float:
    """By how much the number of nodes that a message has come to grows with each hop, on a ring with random links.

    A random link leads to a new place of the ring, and from each such place the message runs along the ring in both
    directions, 20 new nodes a hop. Let S be the number of places; let `a` be the number of new nodes that one hop
    reaches by random links, and `b` the number that it reaches along the ring. The next hop has S' = S + a',
    a' = 3a + 4b, b' = 20 S: a node has four random links, two of its own and on average two of others,
    and one that was reached by one of them has three left. All grow by the factor x with (x − 1)(x − 3) = 80. Nodes
    that were reached before count as new, so it is an upper bound.
    """
    links = 2 * RANDOM_LINKS
    return links / 2 + math.sqrt((links / 2 - 1) ** 2 + links * 2 * RING_LINKS)


def ring_and_random_hops(nodes: float) -> float:
    """Hops to most nodes of a ring with random links: the logarithm, to the base of that growth."""
    return math.log(nodes) / math.log(ring_and_random_growth())


# --- what stays together --------------------------------------------------------------------------

def ring_together(nodes: float, failed: float) -> float:
    """The share of the surviving nodes that the largest part of a ring has, on average.

    The ring breaks where ten in a row fail. The number of breaks is about a Poisson variable of mean n (1 − f) f^10.
    Of a circle with k breaks at random places, the largest piece has (1 + 1/2 + … + 1/k) / k on average (Holst, "On the
    lengths of the pieces of a stick broken at random", 1980).
    """
    mean = nodes * (1 - failed) * failed**RING_LINKS
    chance, harmonic, share = math.exp(-mean), 0.0, math.exp(-mean)
    for breaks in range(1, 100 + round(10 * mean)):
        chance *= mean / breaks
        harmonic += 1 / breaks
        share += chance * harmonic / breaks
    return share


def regular_together(failed: float, degree: int) -> float:
    """The share of the surviving nodes that are in the giant component of a random regular graph: 1 − u^d. The chance
    that a link leads into a dead end is u = f + (1 − f) u^(d − 1) (Callaway, Newman, Strogatz and Watts, "Network
    robustness and fragility", 2000). The share is 0 from f = (d − 2) / (d − 1) on."""
    ends = 0.0
    for _ in range(ENOUGH):
        ends = failed + (1 - failed) * ends ** (degree - 1)
    return 1 - ends**degree


def ring_and_random_together(failed: float) -> float:
    """The same for a ring with random links: a graph of pieces of the ring that random links join.

    A piece goes on after a survivor with the chance 1 − c, c = f^10. Between survivors, a random link leads into a dead
    end with the chance v if it is followed from the node that has opened it, and w from the other one. The links
    that a node has opened all lead into dead ends with the chance (f + (1 − f) v)², those that others have opened to it
    with the chance exp(2 (1 − f) (w − 1)); g is the product of the two. The links of all nodes on one side of it in its
    piece all lead into dead ends with the chance c / (1 − (1 − c) g).
    """
    alive, cut = 1 - failed, failed**RING_LINKS
    by_own = by_other = 0.0
    for _ in range(ENOUGH):
        own = failed + alive * by_own
        others = math.exp(RANDOM_LINKS * alive * (by_other - 1))
        side = cut / (1 - (1 - cut) * own**RANDOM_LINKS * others)
        by_own, by_other = own**RANDOM_LINKS * others * side**2, own ** (RANDOM_LINKS - 1) * others * side**2
    return 1 - by_own
