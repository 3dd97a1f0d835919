"""The benchmarks by name, in the order of the tables in docs/performance.md."""

from dataclasses import dataclass
from importlib import import_module

from .options import Options
from .table import Table


@dataclass(frozen=True, slots=True)
class Benchmark:
    """*module* has `run_tables(options)`; *what* is one line for `--list`."""

    name: str
    module: str
    what: str

    def tables(self, options: Options) -> list[Table]:
        """Measure.  Raises: Wrong when an output is not right."""
        found: list[Table] = import_module(self.module).run_tables(options)
        return found


_ROWS = "benchmarks.rows"

BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("noop", f"{_ROWS}.noop", "nothing to do in a large tree, against git status"),
        Benchmark("noop-repo", f"{_ROWS}.noop_repo", "nothing to do in this repository"),
        Benchmark("listing", f"{_ROWS}.listing", "doit list and doit info in a large tree"),
        Benchmark("edit-one", f"{_ROWS}.edit_one", "one Go file edited in a large tree"),
        Benchmark("edit-shared", f"{_ROWS}.edit_shared", "a library edited that all share"),
        Benchmark("modules", f"{_ROWS}.modules", "many Go modules of a service each, all edited"),
        Benchmark("cold", f"{_ROWS}.cold", "Go services and Rust crates from nothing"),
        Benchmark("assembly", f"{_ROWS}.assembly", "one image assembled: time and memory"),
        Benchmark("image", f"{_ROWS}.image", "one image: umoci, crane, BuildKit, buildah"),
        Benchmark("many", f"{_ROWS}.many", "1,000 images of changed binaries, one job and two"),
        Benchmark("peers", f"{_ROWS}.peers", "20 services: ko and buildx bake, to disk"),
        Benchmark("container", f"{_ROWS}.container", "an edit until a container answers HTTP"),
        Benchmark("replace", f"{_ROWS}.replace", "an edit until what runs is one of it"),
        Benchmark("growth", f"{_ROWS}.growth", "how costs grow, 10 to 1,000 services"),
    )
}
