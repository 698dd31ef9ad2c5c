"""The tree of blocks as text, for `/tree`."""

from common.console import count, shown_account, shown_id
from stage5_pos.tree import Block, Tree

SHOWN_HEIGHTS = 40
"""How many heights a drawing shows, the newest."""


def draw_tree(tree: Tree) -> list[str]:
    """The newest blocks first: `*` is a block of the best chain, `o` one of another branch."""
    lowest = max(1, tree.best.height - SHOWN_HEIGHTS + 1)
    shown = sorted((block for block in tree.blocks.values() if block.height >= lowest),
                   key=lambda block: (-block.height, not tree.is_on_best_chain(block), block.rank))
    lanes: list[Block | None] = []
    lines = [_draw_block(tree, block, lanes) for block in shown]
    before = f"  ({count(lowest - 1, 'older block')} of the best chain not shown)" if lowest > 1 else ""
    return [*lines, f"*  genesis {shown_id(tree.root.id)}{before}"]


def _draw_block(tree: Tree, block: Block, lanes: list[Block | None]) -> str:
    """The line of one block. `lanes` are the columns: each holds the block that comes next in it, None if it is
    free."""
    if block in lanes:
        lane = lanes.index(block)
    elif None in lanes:
        lane = lanes.index(None)
    else:
        lane = len(lanes)
        lanes.append(None)
    marks = ["|" if due is not None else " " for due in lanes]
    marks[lane] = "*" if tree.is_on_best_chain(block) else "o"
    is_child_of_best = block.parent is not None and tree.is_on_best_chain(block.parent)
    forks = block.parent in lanes or (lane > 0 and is_child_of_best)
    lanes[lane] = None if forks else block.parent
    return (f"{' '.join(marks)}  height {block.height}, slot {block.slot}: {shown_id(block.id)}"
            f" by {shown_account(block.creator)}, {count(len(block.transactions), 'transaction')}"
            + (f", forks from {shown_id(block.parent_id)}" if forks else ""))
