"""A Rust workspace: crates that share one library crate, and nothing from outside."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .tree import DODO, IGNORED, MARK, PYPROJECT, File, Tree, grown

_FUNCTIONS = 40


@dataclass(frozen=True, slots=True)
class RustWorkspace:
    """*crates* programs."""

    crates: int

    def grow(self, root: Path) -> Tree:
        """The tree at *root*."""
        files = [("dodo.py", DODO), ("pyproject.toml", PYPROJECT), (".gitignore", IGNORED)]
        return grown(root, {"crates": self.crates}, [*files, *self.files()])

    def names(self) -> list[str]:
        """The names of the services."""
        return [f"rs-{number:02}" for number in range(self.crates)]

    def files(self) -> Iterator[File]:
        """The crates and what makes a workspace of them, without dodo.py and pyproject.toml."""
        members = ", ".join(f'"services/{name}"' for name in self.names())
        yield "Cargo.toml", f'[workspace]\nresolver = "2"\nmembers = ["crates/shared", {members}]\n'
        yield "Cargo.lock", _lockfile(self.names())
        yield "crates/shared/Cargo.toml", _manifest("shared")
        yield (
            "crates/shared/src/lib.rs",
            (
                "//! In every service.\n\n/// Printed by all.\n"
                f'pub const RELEASE: &str = "{MARK}";\n\n'
                + "".join(_function(number) for number in range(_FUNCTIONS))
            ),
        )
        for name in self.names():
            yield f"services/{name}/service.toml", '[binary]\nrule = "rust_binary"\n'
            yield (
                f"services/{name}/Cargo.toml",
                _manifest(name) + '\n[dependencies]\nshared = { path = "../../crates/shared" }\n',
            )
            yield f"services/{name}/src/main.rs", _main(name)


def _manifest(name: str) -> str:
    return f'[package]\nname = "{name}"\nversion = "1.0.0"\nedition = "2021"\n'


def _lockfile(names: list[str]) -> str:
    """What cargo would write; source: doc.rust-lang.org/cargo, Cargo.toml vs Cargo.lock."""
    depending = 'version = "1.0.0"\ndependencies = [\n "shared",\n]\n'
    packages = [f'[[package]]\nname = "{name}"\n{depending}' for name in names]
    shared = '[[package]]\nname = "shared"\nversion = "1.0.0"\n'
    return "version = 3\n\n" + "\n".join([*packages, shared])


def _function(number: int) -> str:
    return (
        f"/// Step {number} of the work.\n"
        f"pub fn step{number}(words: &[String]) -> std::collections::BTreeMap<String, usize> {{\n"
        "    let mut found = std::collections::BTreeMap::new();\n"
        "    for word in words {\n"
        f"        *found.entry(format!(\"{{word}}-{number}\")).or_insert(0) += word.len();\n"
        "    }\n    found\n}\n\n"
    )  # fmt: skip


def _main(name: str) -> str:
    calls = "".join(
        f"    total += shared::step{number}(&words).len();\n" for number in range(_FUNCTIONS)
    )
    return (
        f'const OWN: &str = "{MARK}";\n\nfn main() {{\n'
        "    let words: Vec<String> = std::env::args().collect();\n    let mut total = 0;\n"
        f'{calls}    println!("{name} {{OWN}} {{}} {{total}}", shared::RELEASE);\n}}\n'
    )
