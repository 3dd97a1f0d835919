"""What dodo.py imports is a part of what the last run remembers, wherever it lies."""

from pathlib import Path

import pytest

from .memories import looks, same_size, settle
from .workspaces import DODO, TWO_SERVICES, site_of


@pytest.mark.parametrize("is_told_by_dodo", [True, False])
def test_what_dodo_imports_from_elsewhere_is_seen(is_told_by_dodo: bool, tmp_path: Path) -> None:
    """Python itself would believe what it has compiled of such a module before."""
    module = tmp_path / "elsewhere/globs.py"
    module.parent.mkdir()
    module.write_text('GLOBS = ["services/a*"]\n')
    told = f"import sys\nsys.path.insert(0, {str(module.parent)!r})\n" if is_told_by_dodo else ""
    dodo = told + "from globs import GLOBS\n" + DODO.replace('["services/*"]', "GLOBS")
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "dodo.py": dodo})
    if not is_told_by_dodo:
        site.env["PYTHONPATH"] = str(module.parent)
    site.doit()
    settle(site)
    same_size(module, "services/a*", "services/w*")
    assert looks(site)
    assert site.images().keys() == {"web"}
