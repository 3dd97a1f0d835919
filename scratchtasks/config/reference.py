"""The reference of every table and key, printed from the very fields that the parser uses."""

from collections.abc import Iterable

from .binary import EVERY_BINARY, RULES
from .fields import Field, attempt
from .genrule import GENRULE
from .image import (
    ALL_ESSENTIALS,
    CERTS,
    DIRS,
    HEALTHCHECK,
    HOSTS,
    IMAGE,
    PUSH,
    SMOKE,
    ZONEINFO,
)
from .lockfile import PIN
from .refresh import REFRESH
from .service import SERVICE
from .source import DEBIAN, FILES, IMAGE_FILES, ROOTS_IMAGE, SOURCES, ZONES_IMAGE
from .spot import Spot
from .structure import (
    COMMAND_TEST,
    CONTENT_TEST,
    EXISTENCE_TEST,
    EXPECTED,
    METADATA_TEST,
    STRUCTURE,
    VARIABLE,
)
from .workspace import (
    CACHE,
    LOAD,
    WORKSPACE,
    WORKSPACE_CERTS,
    WORKSPACE_IMAGE,
    WORKSPACE_PUSH,
    WORKSPACE_ZONEINFO,
)

_SERVICE_FILE = "services/api/service.toml"
_HEAD = "| key | type | default | meaning |\n|---|---|---|---|\n"


def reference_markdown() -> str:
    """Markdown: every table, key, type, default, meaning, and an error that each key can cause."""
    parts = [
        "## service.toml\n\nEvery fault of every file is reported at once.  Paths are relative to "
        "the service's folder; `//folder:name` is a label, relative to the workspace root.\n",
        _table("Top level", SERVICE, _SERVICE_FILE, ""),
        _table("`[binary]` of every rule", EVERY_BINARY, _SERVICE_FILE, "binary"),
    ]
    for name, rule in RULES.items():
        title = f'`[binary]` with `rule = "{name}"`'
        parts.append(_table(title, rule.fields, _SERVICE_FILE, "binary", rule.meaning))
    essentials = ", ".join(f"`{name}`" for name in ALL_ESSENTIALS)
    parts += (
        _table("`[image]`", IMAGE, _SERVICE_FILE, "image", f"the essentials are {essentials}"),
        _table("`image.healthcheck`", HEALTHCHECK, _SERVICE_FILE, "image.healthcheck"),
        _table("Each of `image.files`", FILES, _SERVICE_FILE, "image.files[0]"),
        _table("Each of `image.files` with `from`", IMAGE_FILES, _SERVICE_FILE, "image.files[0]"),
        _table("Each of `image.dirs`", DIRS, _SERVICE_FILE, "image.dirs[0]"),
        _table("`[certs]`", CERTS, _SERVICE_FILE, "certs"),
        _table(
            "`certs.source` from an image",
            ROOTS_IMAGE,
            _SERVICE_FILE,
            "certs.source",
            'the other sources are "certifi", "machine" (what /etc/ssl/certs has), and the '
            'label of a PEM file such as "//certs:roots.pem"',
        ),
        _table("`certs.source` from Debian", DEBIAN, _SERVICE_FILE, "certs.source"),
        _table("`[zoneinfo]`", ZONEINFO, _SERVICE_FILE, "zoneinfo"),
        _table(
            "`zoneinfo.source` from an image",
            ZONES_IMAGE,
            _SERVICE_FILE,
            "zoneinfo.source",
            'the other sources are "tzdata" and "machine" (what /usr/share/zoneinfo has)',
        ),
        _table("`[hosts]`", HOSTS, _SERVICE_FILE, "hosts"),
        _table("`[smoke]`", SMOKE, _SERVICE_FILE, "smoke"),
        _table("`[push]`", PUSH, _SERVICE_FILE, "push"),
        "## scratch.toml\n\nThe same tables may stand below `[tool.scratchtasks]` in "
        "`pyproject.toml`.\n",
        _table("Top level", WORKSPACE, "scratch.toml", ""),
        _table("`[image]`", WORKSPACE_IMAGE, "scratch.toml", "image"),
        _table("`[refresh]`", REFRESH, "scratch.toml", "refresh"),
        _table("`[cache]`", CACHE, "scratch.toml", "cache"),
        _table("`[load]`", LOAD, "scratch.toml", "load"),
        _table("`[push]`", WORKSPACE_PUSH, "scratch.toml", "push"),
        _table("`[certs]`", WORKSPACE_CERTS, "scratch.toml", "certs"),
        _table("`[zoneinfo]`", WORKSPACE_ZONEINFO, "scratch.toml", "zoneinfo"),
        _table("`[sources]`", SOURCES, "scratch.toml", "sources"),
        "## scratch.lock\n\nGenerated and committed; `version = 1`, and a table per pin.\n",
        _table("`[pins.NAME]`", PIN, "scratch.lock", "pins.certifi"),
        "## Structure tests\n\nFiles of `smoke.structure_test`: container-structure-test's YAML, "
        "schema 2.0.0, with Go's regular expressions.  Files and metadata are read from the image "
        "itself: its `/etc/hosts` is the image's, not Docker's.\n",
        _table("The file", STRUCTURE, "cst.yaml", ""),
        _table("Each of `commandTests`", COMMAND_TEST, "cst.yaml", "commandTests[0]"),
        _table("Variables of commands", VARIABLE, "cst.yaml", "commandTests[0].envVars[0]"),
        _table("Each of `fileExistenceTests`", EXISTENCE_TEST, "cst.yaml", "fileExistenceTests[0]"),
        _table("Each of `fileContentTests`", CONTENT_TEST, "cst.yaml", "fileContentTests[0]"),
        _table("`metadataTest`", METADATA_TEST, "cst.yaml", "metadataTest"),
        _table("Variables and labels of metadata", EXPECTED, "cst.yaml", "metadataTest.labels[0]"),
        "## genrule\n\nDeclared in `dodo.py` only; the arguments of `genrule(…)`.  One that"
        " `service.toml` names\nby its label (`//gen:schema`, of several outputs"
        " `//gen:schema/schema.json`) is given to the workspace:\n"
        "`Workspace(services=[…], rules=[schema])`.\n",
        _table("Arguments", GENRULE, "dodo.py: genrule('schema')", ""),
    )
    return "\n".join(parts)


def example_error(field: Field, origin: str, path: str) -> str:
    """What the user reads when *field* below *path* has its `wrong` value."""
    table = Spot(origin, path, folder="services/api")
    attempt(field.check, field.wrong, table.key(field.key))
    return "\n".join(str(error) for error in table.faults)


def _table(title: str, fields: Iterable[Field], origin: str, path: str, intro: str = "") -> str:
    rows = "".join(_row(field) for field in fields)
    errors = "\n".join(example_error(field, origin, path) for field in fields)
    lead = f"{intro[:1].upper()}{intro[1:]}.\n\n" if intro else ""
    return f"### {title}\n\n{lead}{_HEAD}{rows}\n```text\n{errors}\n```\n"


def _row(field: Field) -> str:
    default = "required" if field.required else field.default
    cells = (f"`{field.key}`", field.check.wants, default, field.meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
