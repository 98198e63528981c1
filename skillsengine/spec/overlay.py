"""`experiments/_env/<name>.yaml`: values of one environment, laid over every spec that is read there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from skillsengine.spec.extends import Reader, followed
from skillsengine.spec.source import Node, Place, Source, merge


def lay_over(root: Node | None, overlay: Path | None, reader: Reader) -> Node | None:
    """`root` with the values of the file `overlay` on it, each with its own place; what is wrong goes to `reader.problems`.

    The overlay is read even where the spec is not (`root` is None), so that one pass tells all there is to mend.
    """
    if overlay is None:
        return root
    if not followed(overlay).is_relative_to(followed(reader.experiments)):
        message = f"a link that leads out of `{reader.experiments.name}/`"
        reader.problems.append(Place(Source(reader.shown(overlay))).problem("", message, "copy the file here"))
        return root
    over = reader.read(overlay, part=True)
    if over is None:
        return root
    name = over.mapping.get("name")
    if name is not None:
        message = "an overlay is laid over every spec, and each has its own name"
        reader.problems.append((name.key or name.at).problem("name", message, "remove the line"))
    values = {key: node for key, node in over.mapping.items() if key != "name"}
    # What a spec lacks is told at the spec's own head, not at the overlay's.
    return None if root is None else replace(merge(root, replace(over, value=values)), at=root.at, key=root.key)
