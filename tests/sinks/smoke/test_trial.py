"""What is run, as Docker combines entrypoint, cmd and arguments."""

import pytest

from scratchtasks.core.errors import SinkError
from scratchtasks.core.target import Smoke
from scratchtasks.sinks.smoke.trial import trial_of

from .images import PROGRAM, Bench


@pytest.mark.parametrize(
    ("definition", "argv"),
    [
        (Smoke(), (PROGRAM, "serve", "default")),
        (Smoke(args=("--version",)), (PROGRAM, "serve", "--version")),
        (Smoke(command=("/usr/bin/other",)), ("/usr/bin/other",)),
        (Smoke(command=("/usr/bin/other", "a"), args=("b",)), ("/usr/bin/other", "a", "b")),
    ],
)
def test_arguments_replace_cmd_and_a_command_replaces_both(
    bench: Bench, definition: Smoke, argv: tuple[str, ...]
) -> None:
    image = bench.image(entrypoint=(PROGRAM, "serve"), cmd=("default",))
    assert trial_of(image, definition, bench.store, "api").argv == argv


@pytest.mark.parametrize(
    ("definition", "runs"),
    [
        (Smoke(), True),
        (Smoke(structure_test=("cst.yaml",)), False),
        (Smoke(structure_test=("cst.yaml",), env={"A": "1"}, read_only=True), False),
        (Smoke(structure_test=("cst.yaml",), timeout_seconds=3), False),
        (Smoke(structure_test=("cst.yaml",), args=("--version",)), True),
        (Smoke(structure_test=("cst.yaml",), http_path="/", http_port=80), True),
        (Smoke(structure_test=("cst.yaml",), exit_code=1), True),
    ],
)
def test_a_structure_test_alone_runs_no_program_of_the_image_s(
    definition: Smoke, runs: bool
) -> None:
    assert definition.runs is runs


def test_an_image_without_entrypoint_needs_a_command(bench: Bench) -> None:
    image = bench.image(entrypoint=())
    with pytest.raises(SinkError) as caught:
        trial_of(image, Smoke(), bench.store, "api")
    assert str(caught.value) == (
        "api: nothing to run\n    hint: set smoke.command or image.entrypoint"
    )
