"""What a person does with the pointer in a slice, and reads in the table of an answer."""

from collections.abc import Callable

from visiting import Visitor


def places(
    visitor: Visitor, where: str = '[data-slice="xy"]'
) -> Callable[[float, float], tuple[float, float]]:
    """Pixels of the page for micrometres of the slice (across, down), by two clicks."""
    axes = {"xy": (0, 1), "xz": (0, 2), "yz": (1, 2)}[where.split('"')[1]]
    visitor.still(where)
    box = visitor.box(where)
    seen = []
    for share in (0.3, 0.7):
        x, y = box["x"] + share * box["width"], box["y"] + share * box["height"]
        before = visitor.said("cursor")
        visitor.page.mouse.click(x, y)
        visitor.page.wait_for_function("b => document.body.dataset.cursor !== b", arg=before)
        found = [float(v) for v in visitor.said("cursor").split(",")]
        seen.append((x, y, *(found[a] for a in axes)))
    (x0, y0, u0, v0), (x1, y1, u1, v1) = seen
    return lambda u, v: (
        x0 + (u - u0) / (u1 - u0) * (x1 - x0),
        y0 + (v - v0) / (v1 - v0) * (y1 - y0),
    )


def stroke(visitor: Visitor, corners: list[tuple[float, float]]) -> None:
    """Press, drag through the corners, let go."""
    mouse = visitor.page.mouse
    mouse.move(*corners[0])
    mouse.down()
    for corner in corners[1:]:
        mouse.move(*corner, steps=6)
    mouse.up()


def cells(visitor: Visitor, gene: str) -> list[str]:
    search = visitor.page.get_by_label("Find a gene in this table")
    search.fill(gene)
    row = visitor.page.locator(f'.trow[data-gene="{gene}"]')
    row.wait_for()
    found = row.locator(".number").all_inner_texts()
    search.fill("")
    return found
