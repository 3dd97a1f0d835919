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


def test_an_image_without_entrypoint_needs_a_command(bench: Bench) -> None:
    image = bench.image(entrypoint=())
    with pytest.raises(SinkError) as caught:
        trial_of(image, Smoke(), bench.store, "api")
    assert str(caught.value) == (
        "api: nothing to run\n    hint: set smoke.command or image.entrypoint"
    )
