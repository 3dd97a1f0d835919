"""rust_binary: `cargo metadata` tells which packages count, one `cargo build` makes many."""

from scratchtasks.core.action import Action
from scratchtasks.core.target import RustBinary

from .binary import Actions, Request


def rust_binary(target: RustBinary, request: Request) -> Actions:
    """The metadata probe and the compilation of *target*."""
    metadata = Action(
        label=request.probe_label("metadata"),
        mnemonic="CargoMetadata",
        op="cargo_metadata",
        is_probe=True,
        params={
            "folder": request.service.folder,
            "crate": target.crate,
            "bin": target.bin,
            "features": list(target.features),
            "default_features": target.default_features,
        },
        platform=request.platform,
    )
    compiled = Action(
        label=request.label,
        mnemonic="CargoBuild",
        op="cargo_build",
        params={
            **metadata.params,
            "name": target.name,
            "env": {name: request.expand(value) for name, value in target.env.items()},
        },
        platform=request.platform,
        deps={"metadata": metadata.name},
    )
    return metadata, compiled
