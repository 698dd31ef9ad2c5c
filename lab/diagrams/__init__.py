"""Space-time diagrams: who sent what to whom, and in which order.

In: names of nodes, messages between them, and what happened at one of them. Out: lines for a terminal, or an SVG.
"""
