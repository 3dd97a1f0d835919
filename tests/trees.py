"""Files of a tree, there or not."""

from pathlib import Path


def toggle(path: Path) -> None:
    """Write the file *path*, or delete it where it is, with the folders that are empty then.

    Where a folder is in its place, or a file in that of a folder, nothing happens.
    """
    if path.is_file():
        path.unlink()
        while not any(path.parent.iterdir()):
            path = path.parent
            path.rmdir()
    elif not path.exists() and not any(above.is_file() for above in path.parents):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
