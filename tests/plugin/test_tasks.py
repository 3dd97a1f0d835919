"""The tasks that doit is handed: their names, links, targets, and when they are up to date."""

from pathlib import Path
from typing import Any

import pytest
from doit.exceptions import TaskFailed

from scratchtasks.core.platform import host_platform
from scratchtasks.core.task import Task
from scratchtasks.execute.plan import Plan
from scratchtasks.plugin.backend import OUR_VALUE
from scratchtasks.plugin.events import Event, ImageMade
from scratchtasks.plugin.session import Session
from scratchtasks.plugin.tasks import BuildAction, UpToDate, task_dicts

from .shop import FILES, session, write


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return session(tmp_path)


def by_name(found: Session, **more: Any) -> dict[str, dict[str, Any]]:
    dicts = list(task_dicts(found, **more))
    names = [f"{each['basename']}:{each.get('name') or ''}".rstrip(":") for each in dicts]
    assert len(set(names)) == len(names)
    return dict(zip(names, dicts, strict=True))


def test_names_and_links(shop: Session) -> None:
    found = by_name(shop)
    assert {"image", "binary", "layer", "rule", "load", "image:api", "binary:api", "load:api",
            "rootfs:api",
            "rule:gen/words"} <= set(found)  # fmt: skip
    (layer,) = (name for name in found if name.startswith("layer:"))
    assert set(found["rootfs:web"]["task_dep"]) == {layer, "rule:gen/words", "binary:web"}
    assert found["image:web"]["task_dep"] == ["rootfs:web"]
    assert found["load:web"]["task_dep"] == ["rootfs:web"]
    assert found["binary:api"]["doc"] == "//services/api:binary: static binary api"


@pytest.mark.parametrize(
    ("platforms", "need"),
    [
        (["linux/arm64", "linux/amd64"], f"rootfs:api@{host_platform()}"),
        (["linux/s390x", "linux/riscv64"], "rootfs:api@linux/riscv64"),
    ],
)
def test_what_is_loaded_is_built_for_one_platform_this_machine_if_it_can_be(
    platforms: list[str], need: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = FILES["services/api/service.toml"] + f"[image]\nplatforms = {platforms}\n"
    write(tmp_path, {**FILES, "services/api/service.toml": service})
    monkeypatch.chdir(tmp_path)
    found = by_name(session(tmp_path))
    assert found["load:api"]["task_dep"] == [need]
    assert found["image:api"]["task_dep"] == [f"rootfs:api@{each}" for each in platforms]
    assert found["rootfs:api"]["task_dep"] == found["image:api"]["task_dep"]
    # doit refuses two tasks that make one file.
    targets = [target for each in found.values() for target in each.get("targets", ())]
    assert len(set(targets)) == len(targets)


def test_targets_are_relative_and_of_one_task_each(shop: Session) -> None:
    targets = [target for each in by_name(shop).values() for target in each.get("targets", ())]
    assert len(set(targets)) == len(targets)
    assert "dist/api/index.json" in targets
    assert ".scratch/stamps/services/api/binary@linux-amd64.json" in targets
    assert not any(target.startswith(("/", "..")) for target in targets)


def test_batches_are_hidden_tasks_that_members_wait_for(shop: Session) -> None:
    names = ["//services/api:binary@linux/amd64", "//services/web:binary@linux/amd64"]
    found = by_name(shop, plan=Plan((tuple(names),)))
    assert found["_scratchtasks_compile_0"]["uptodate"] == [False]
    for name in ("binary:api", "binary:web"):
        assert "_scratchtasks_compile_0" in found[name]["task_dep"]
    assert "_scratchtasks_compile_0" not in found["image:api"]["task_dep"]
    assert str(found["_scratchtasks_compile_0"]["actions"][0]) == "build " + ", ".join(names)


def test_names_of_hidden_tasks_say_whose_they_are(shop: Session) -> None:
    plan = Plan(
        (("//services/api:binary@linux/amd64",),), later=("//services/web:rootfs@linux/amd64",)
    )
    hidden = [name for name in by_name(shop, plan=plan) if name.startswith("_")]
    assert hidden == ["_scratchtasks_build", "_scratchtasks_compile_0"]


def test_groups_of_chains_come_after_batches_and_before_their_tasks(shop: Session) -> None:
    binaries = ("//services/api:binary@linux/amd64", "//services/web:binary@linux/amd64")
    roots = (("//services/api:rootfs@linux/amd64",), ("//services/web:rootfs@linux/amd64",))
    found = by_name(shop, plan=Plan((binaries,), (roots,)))
    assert found["_scratchtasks_assemble_0"]["task_dep"] == ["_scratchtasks_compile_0"]
    for name in ("rootfs:api", "rootfs:web"):
        assert found[name]["task_dep"][-1] == "_scratchtasks_assemble_0"
    assert str(found["_scratchtasks_assemble_0"]["actions"][0]) == (
        "build //services/api:rootfs@linux/amd64, //services/web:rootfs@linux/amd64"
    )


def image_after_all_it_needs(shop: Session) -> tuple[Task, tuple[str, ...]]:
    """An image's task, and the chain of actions that makes it of what is built already."""
    tasks = shop.graph.tasks
    for dep in tasks["rootfs:api"].deps:
        assert BuildAction(shop, tasks[dep]).execute() is None
    return tasks["image:api"], (*tasks["rootfs:api"].actions, *tasks["image:api"].actions)


def test_a_group_puts_images_into_dist_once(shop: Session, tmp_path: Path) -> None:
    made: list[ImageMade] = []

    def listen(event: Event) -> None:
        if isinstance(event, ImageMade):
            made.append(event)

    shop.events.subscribe(listen)
    image, chain = image_after_all_it_needs(shop)
    shop.together.build_chains([chain, ("//services/web:rootfs@linux/amd64",)], 2)
    assert (tmp_path / "dist/api/index.json").exists()
    assert [(each.label, each.outcome) for each in made] == [("//services/api:image", "ran")]
    # doit's task finds it done, and has it recorded.
    assert not UpToDate(shop, image)(None, {})
    action = BuildAction(shop, image)
    assert action.execute() is None
    assert action.values == {OUR_VALUE: shop.key(image)}
    assert len(made) == 1
    shop.close()


def test_a_group_leaves_failures_to_their_tasks(shop: Session, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "api").write_text("in the way")
    image, chain = image_after_all_it_needs(shop)
    shop.together.build_chains([chain], 1)
    failed = BuildAction(shop, image).execute()
    assert isinstance(failed, TaskFailed)
    assert failed.message.startswith(f"{dist / 'api'}")
    shop.close()


def test_labels_as_tasks_for_doits_own_loader(shop: Session) -> None:
    found = by_name(shop, with_labels=True)
    assert found["//services/api:image"]["task_dep"] == ["image:api"]
    assert found["//gen:words"]["task_dep"] == ["rule:gen/words"]


def test_up_to_date_says_why_not(shop: Session) -> None:
    task = shop.graph.tasks["rule:gen/words"]
    asked = UpToDate(shop, task)
    assert not asked(None, {})
    assert str(asked) == repr(asked) == "it was never built here"
    action = BuildAction(shop, task)
    assert action.execute() is None
    assert asked(None, action.values)
    assert str(asked) == ""
    assert not asked(None, {})
    assert str(asked) == "doit has no record of it"
    shop.close()


def test_a_users_mistake_is_a_message(shop: Session, tmp_path: Path) -> None:
    (tmp_path / "gen/a.txt").unlink()
    failed = BuildAction(shop, shop.graph.tasks["rule:gen/words"]).execute()
    assert isinstance(failed, TaskFailed)
    assert failed.message == "//gen:words: no file matches 'gen/*.txt'"
    shop.close()


def test_an_interrupted_action_is_no_traceback(shop: Session) -> None:
    shop.world.processes.cancel()
    failed = BuildAction(shop, shop.graph.tasks["rule:gen/words"]).execute()
    assert isinstance(failed, TaskFailed)
    assert failed.message == "interrupted"
    shop.close()


def test_a_failed_batch_leaves_its_failures_to_the_members(shop: Session, tmp_path: Path) -> None:
    (tmp_path / "services/web/main.go").write_text("package main\n\nfunc main() { x() }\n")
    names = tuple(f"//services/{each}:binary@linux/amd64" for each in ("api", "web"))
    shop.together.build_batches([names], workers=0)
    assert BuildAction(shop, shop.graph.tasks["binary:api"]).execute() is None
    failed = BuildAction(shop, shop.graph.tasks["binary:web"]).execute()
    assert isinstance(failed, TaskFailed)
    assert failed.message.startswith("//services/web:binary: go build failed (linux/amd64)")
    shop.close()


def test_clean_is_named_for_people(shop: Session) -> None:
    (clean,) = by_name(shop)["image:api"]["clean"]
    assert str(clean) == "remove what image:api left outside the store"
