"""`--profile FILE`: where the time of real runs went, as a Chrome trace."""

import gzip
import json
import signal
import time
from pathlib import Path

import pytest

from scratchtasks.core.errors import ConfigError
from scratchtasks.core.span import Span, span
from scratchtasks.plugin.events import Events, Finished, Started, Work
from scratchtasks.plugin.trace import Trace
from tests.registry.proxy import Proxy
from tests.registry.servers import PASSWORD, config_json, password_auth, registry
from tests.scenarios.workspaces import SERVICE, TWO_SERVICES, Site, lone_go, shop, site_of

from .shipyard import FAILS, PASSES, Yard
from .tracing import timeline

SLOW = "echo began > started; sleep 60\n"
RULE = """from scratchtasks import Workspace, genrule

slow = genrule(name="slow", folder="gen", srcs=["slow.sh"], outs=["out"],
               cmd=["sh", "slow.sh", "{out}/out"])
task_images = Workspace(services=["services/*"], rules=[slow])
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two Go services, built in a run with a trace in cold.json; others may be added."""
    site = shop(tmp_path_factory.mktemp("built"))
    assert site.doit("--profile", "cold.json").summary == "2 images, 2 rebuilt"
    return site


def test_a_first_build_shows_looks_one_compiler_call_layers_and_exports(built: Site) -> None:
    trace = timeline(built.root / "cold.json")
    assert trace.one("run")["args"] == {"rebuilt": 2, "from cache": 0}
    assert trace.one("scan", "workspace")["args"] == {"verdict": "unknown"}
    assert trace.one("analyze")["args"] == {"services": 2}

    batch = trace.one("compile")
    assert batch["name"] == "GoCompile //services/api:binary and 1 more"
    facts = batch["args"]
    assert (facts["platform"], facts["reason"]) == ("linux/amd64", "it was never built here")
    members = facts["members"]
    assert [each["label"] for each in members] == ["//services/api:binary", "//services/web:binary"]
    assert {each["outcome"] for each in members} == {"ran"}
    assert facts["bytes"] == sum(each["bytes"] for each in members) > 1_000_000

    looks = trace.of("scan", "//services/api:binary@linux/amd64")
    assert {look["args"]["verdict"] for look in looks} == {"stale"}
    assert trace.of("action", "Image //services/api:image")[0]["args"]["outcome"] == "ran"
    exports = {each["name"]: each["args"]["bytes"] for each in trace.of("export")}
    assert exports.keys() == {"dist/api", "dist/web"}
    assert all(size > 500_000 for size in exports.values())
    assert trace.one("remember")["args"]["paths"] > 100  # once: it may take long


def test_layers_have_the_sizes_that_images_have(built: Site) -> None:
    trace = timeline(built.root / "cold.json")
    images = json.loads((built.root / "dist/images.json").read_text())["images"]
    layers = {layer["digest"]: layer for image in images for layer in image["layers"]}
    places = {layer["digest"]: image["name"] for image in images for layer in image["layers"]}
    packed = {each["args"]["digest"]: each for each in trace.of("layer", "compress ")}
    assert packed.keys() == layers.keys()
    tars = [*trace.of("layer", "hash "), *trace.of("layer", "write ")]
    sizes = {each["args"]["diff_id"]: each["args"]["bytes"] for each in tars}
    read_once = {each["args"]["diff_id"] for each in packed.values()} - sizes.keys()
    assert all(each["args"]["bytes_in"] == sizes[each["args"]["diff_id"]]
               for each in packed.values() if each["args"]["diff_id"] not in read_once)  # fmt: skip
    assert len(read_once) == 2  # a binary is hashed and compressed in one go
    for digest, layer in layers.items():
        assert packed[digest]["name"] == f"compress {layer['kind']}"
        facts = packed[digest]["args"]
        assert facts["bytes_out"] == layer["size"]
        assert facts["diff_id"] == layer["diff_id"]
        blob = built.root / "dist" / places[digest] / "blobs" / digest.replace(":", "/")
        assert facts["bytes_in"] == len(gzip.decompress(blob.read_bytes()))
    for made in trace.of("action", "Rootfs //services/web"):
        assert {each["cat"] for each in trace.inside(made)} == {"layer"}


def test_what_comes_from_the_cache_is_a_hit(built: Site, tmp_path: Path) -> None:
    site = built.copy_to(tmp_path / "ws")
    main = site.root / "services/web/main.go"
    old = main.read_text()
    site.doit()
    main.write_text(lone_go("other"))
    site.doit()
    main.write_text(old)
    ran = site.doit("image:web", "--profile", "hits.json")  # behind task names too
    assert ran.summary == "1 image, 1 from cache"
    trace = timeline(site.root / "hits.json")
    assert trace.one("run")["args"] == {"rebuilt": 0, "from cache": 1}
    hit = trace.one("hit", "GoCompile")
    assert hit["name"] == "GoCompile //services/web:binary"
    assert hit["args"]["reason"] == "services/web/main.go changed"
    assert hit["args"]["bytes"] > 500_000
    assert trace.of("compile") == trace.of("layer") == []
    known = trace.one("scan", "workspace")["args"]
    assert (known["verdict"], known["stale"]) == ("known", 1)


def test_a_run_with_nothing_to_do_shows_one_look_and_imports_nothing_without(built: Site) -> None:
    assert built.doit("image", "--profile=no-op.json").summary == "2 images up to date"
    trace = timeline(built.root / "no-op.json")
    (scan,) = (each for each in trace.spans if each["cat"] != "run")
    assert scan["name"] == "workspace"
    assert scan["args"].keys() == {"verdict", "paths", "stale"}
    assert scan["args"]["stale"] == 0
    env = {"PYTHONPROFILEIMPORTTIME": "1"}
    built.doit(env=env)  # what is remembered holds for one environment
    ran = built.doit(env=env)
    assert "scratchtasks.plugin.memory" in ran.err
    assert "scratchtasks.plugin.trace" not in ran.err
    assert "scratchtasks.core.span" not in ran.err


def test_several_threads_have_rows_of_their_own(built: Site, tmp_path: Path) -> None:
    site = built.copy_to(tmp_path / "ws")
    site.doit("-n", "2", "--profile", "threads.json")
    trace = timeline(site.root / "threads.json")
    assert len(trace.threads) >= 3
    assert {each["tid"] for each in trace.of("action", "Image")} <= trace.threads.keys()


def test_uploads_and_smoke_tests_have_sizes_and_outcomes(yard: Yard, proxy: Proxy) -> None:
    yard.service("api", smoke=PASSES, push="", tags=["v1", "latest"])
    yard.doit("smoke", "push", "--profile", "push.json")
    trace = timeline(yard.site.root / "push.json")
    smoke = trace.one("smoke")
    assert smoke["name"] == "Smoke //services/api:image"
    assert smoke["args"]["outcome"] == "ran"
    (image,) = json.loads((yard.site.root / "dist/images.json").read_text())["images"]
    sizes = {layer["digest"]: layer["size"] for layer in image["layers"]}
    sent = {each["name"]: each["args"] for each in trace.of("upload") if "bytes" in each["args"]}
    assert sent.keys() == {*sizes, image["image_id"], image["digest"], "v1", "latest"}
    assert {digest: sent[digest]["bytes"] for digest in sizes} == sizes
    assert {each["repository"] for each in sent.values()} == {yard.repository("api")}
    assert sum(each["bytes"] for each in sent.values()) == sum(seen.size for seen in proxy.seen)


def test_a_failed_run_has_a_trace(yard: Yard) -> None:
    yard.service("api", smoke=FAILS)
    ran = yard.run("smoke", "--profile", "out/failed.json")
    assert ran.code != 0
    trace = timeline(yard.site.root / "out/failed.json")
    assert trace.one("smoke")["args"]["outcome"] == "failed"


def test_an_interrupted_run_has_a_trace(tmp_path: Path) -> None:
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "dodo.py": RULE, "gen/slow.sh": SLOW})
    process = site.start("rule:gen/slow", "--profile", "t.json")
    while process.poll() is None and not list(site.root.glob("**/started")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, b"interrupted; finished work is kept\n")
    slow = timeline(site.root / "t.json").one("action", "Genrule")
    assert slow["args"]["outcome"] == "unfinished"


def test_other_commands_have_traces_too(built: Site, tmp_path: Path) -> None:
    site = built.copy_to(tmp_path / "ws")
    site.doit("--profile", "list.json", "list")
    assert timeline(site.root / "list.json").of("analyze")


def test_there_is_no_secret_in_a_trace(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("guarded")
    flags = 'ldflags = ["-X main.version={env.TOKEN}"]\n'
    with registry(folder, auth=password_auth(folder)) as host:
        push = f'[push]\nrepository = "{host}/shop/api"\n'
        site = site_of(
            tmp_path / "ws", {**TWO_SERVICES, "services/api/service.toml": SERVICE + flags + push}
        )
        site.env["DOCKER_CONFIG"] = config_json(tmp_path / "docker", host)
        site.doit("image:api", env={"TOKEN": "the-old-token"})
        site.doit("push:api", "--profile", "t.json", env={"TOKEN": "the-new-token"})
    trace = timeline(site.root / "t.json")
    assert trace.one("compile")["args"]["reason"] == "params.ldflags changed"
    assert trace.of("upload", "sha256:")
    text = (site.root / "t.json").read_text()
    auth = json.loads((tmp_path / "docker/config.json").read_text())["auths"][host]["auth"]
    for secret in ("the-old-token", "the-new-token", PASSWORD, auth):
        assert secret not in text


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("services", "wanted a file, got services"),
        ("/dev/null", "wanted a file, got /dev/null"),
        (
            "dodo.py/t.json",
            "dodo.py/t.json cannot be written: not a directory\n"
            "    hint: {root}/dodo.py is no folder",
        ),
        ("/proc/t.json", "/proc/t.json cannot be written: no such file or directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_runs(
    file: str, fault: str, tmp_path: Path
) -> None:
    site = shop(tmp_path)
    ran = site.run("--profile", file)
    assert (ran.code, ran.out, ran.err) == (
        3,
        "",
        f"ERROR: --profile: {fault.format(root=site.root)}\n",
    )
    assert not (site.root / "dist").exists()


def test_the_option_needs_a_file(tmp_path: Path) -> None:
    ran = shop(tmp_path).run("image", "--profile")
    assert (ran.code, ran.err) == (3, "ERROR: --profile: wanted a FILE\n")


def test_a_file_that_can_no_longer_be_written_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trace = Trace(str(tmp_path / "a/t.json"), Events())
    (tmp_path / "a").rmdir()
    (tmp_path / "a").write_text("")
    trace.write()
    hint = f"    hint: {tmp_path}/a is no folder"
    what = f"{tmp_path}/a/t.json cannot be written: not a directory\n{hint}"
    assert capfd.readouterr().err == f"error: --profile: {what}\n"


def test_without_a_name_there_is_no_trace(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--profile: wanted a FILE$"):
        Trace("", Events())


def test_what_an_exception_ended_does_not_outlive_what_it_was_part_of(tmp_path: Path) -> None:
    events = Events()
    trace = Trace(str(tmp_path / "t.json"), events)
    works = Work("a", "//:a", "GoList"), Work("b", "//:b", "GoList")

    def interrupted() -> None:
        with span(events.on_span, "scan", "//:outer"):
            events.emit(Started(works, "new"))
            events.emit(Finished(works[1], "ran", 0.1, size=7))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    events.emit(Started(works[:1], "again"))
    trace.write()
    found = timeline(tmp_path / "t.json")
    scan = found.one("scan")
    assert scan["args"] == {"error": "KeyboardInterrupt"}
    batch, again = found.of("action")
    assert list(found.inside(scan)) == [batch]
    assert again["args"]["outcome"] == "unfinished"
    assert batch["args"]["members"] == [
        {"label": "//:a", "outcome": "unfinished", "bytes": 0},
        {"label": "//:b", "outcome": "ran", "bytes": 7},
    ]


def test_text_that_json_readers_refuse_is_replaced(tmp_path: Path) -> None:
    events = Events()
    trace = Trace(str(tmp_path / "t.json"), events)
    events.emit(Span("scan", "a\udc80\x1b", events.began, events.began, {"x": ["\udc80"]}))
    trace.write()
    (scan,) = timeline(tmp_path / "t.json").of("scan")
    assert (scan["name"], scan["args"]) == ("a??", {"x": ["?"]})
