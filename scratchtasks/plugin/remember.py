"""What a run has found to be up to date, put into a Memo for the next one."""

import glob
import os
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import scratchtasks
from scratchtasks.core.action import Input
from scratchtasks.store.notes import Notes
from scratchtasks.store.owner import started_at
from scratchtasks.store.signature import Meaning, Note, Watch, value_at

from .memo import OURS, Known, Meanings, Memo, Tree, joined, packages, split

if TYPE_CHECKING:
    from scratchtasks.core.task import Task

    from .session import Session

SUMMARY = "dist/images.json"
"""It tells of all images and is written by every run that makes one."""

_NEVER = float("inf")

_TICK = 50_000_000
"""ns. Stamps of files are behind the clock by less."""

_IMPORTS = 2_000_000_000
"""ns that imports ahead of a run take at most."""

_FEW_BLANKS = 4
"""A quarter of the paths may be blank: to number all anew takes longer than to write them."""


def remembered(
    session: "Session",
    head: str,
    began: int,
    before: Memo | None,
    missed: Collection[str] = (),
    table: "Table | None" = None,
) -> Memo:
    """What *session* knows now, over what *before* (complete, still true) knows of others.

    The run *began* then, in ns since the epoch.

    *missed* are services that changed and that *session* has not looked at.  Those, and what is
    not up to date, are in it as unknown.  *table* is that of *before*, if it was made already.
    """
    table = table or Table(before, {*session.graph.services, *missed})
    seen = set[Input]()
    expires = before.expires if before else _NEVER
    services = dict(before.services) if before else {}
    for name, service in session.graph.services.items():
        found = _Service(session, session.graph.tasks[f"image:{name}"])
        seen.update(found.seen)
        expires = min(expires, found.expires)
        services[name] = Known(service.folder)
        if found.digest:
            commit, asked = session.templates.reads(name)
            numbers = table.numbers_of([*found.watches, *commit])
            services[name] = Known(service.folder, numbers, found.digest, asked)
    common = table.numbers_of(_common(session, seen))
    if not before:  # else its look at them was a part of this run
        common += table.numbers_of(_program(session, began))
    told = session.exports.digests()
    for name, known in services.items():
        if told.get(name) != known.digest or name in missed:
            services[name] = Known(known.folder)
    said = {**session.templates.said, **(before.git if before else {})}
    git = {args: said[args] for known in services.values() for args in known.git}
    return table.memo(head, expires, [*(before.common if before else ()), *common], services, git)


class Table:
    """Every path once, with its note and all its meanings.

    It begins as that of *before*, without what only services that are *looked_at* depend on.
    """

    def __init__(self, before: Memo | None, looked_at: Collection[str]) -> None:
        self._paths = list(before.paths) if before else []
        self._notes = before.notes.copy() if before else Notes()
        self._meanings = before.meanings.copy() if before else Meanings()
        self._latest = before.latest if before else 0
        self._numbers = {path: number for number, path in enumerate(self._paths)}
        self._seen = set[int]()
        # What nothing that still counts depends on: the next look is all there is to know of it.
        self._kept, self._dropped = set[int](), set[int]()
        if before:
            rest = (known for name, known in before.services.items() if name not in looked_at)
            self._kept = set(before.common).union(*(known.watched for known in rest))
            self._kept -= before.changed
            self._kept.discard(self._numbers.get(SUMMARY, -1))
            there = (before.services[name] for name in looked_at if name in before.services)
            self._dropped = before.changed.union(*(known.watched for known in there))
        self._tree = before.tree if before else None
        # Notes from before git was asked.
        self._known = before.notes if before else Notes()
        self._looked = before.looked if before else {}

    def numbers_of(self, watches: Iterable[Watch]) -> list[int]:
        """The numbers of the paths of *watches*, which are put into the table."""
        return list(dict.fromkeys(self._number(*watch) for watch in watches))

    def _number(self, path: str, meaning: Meaning | None, note: Note) -> int:
        found = "" if meaning is None else joined([meaning])
        number = self._numbers.setdefault(path, len(self._paths))
        if number == len(self._paths):
            self._paths.append(path)
            self._notes.append(note)
            self._meanings.append(found)
        elif number not in self._kept and number not in self._seen:
            self._notes[number], self._meanings[number] = note, found
        else:
            if self._notes[number] != note:
                self._notes[number] = ()  # it changed between two looks: who saw what?
            known = self._meanings[number]
            if not known or not found or meaning is None:
                self._meanings[number] = ""  # for one of them, only its note counts
            elif known != found and meaning not in split(known):
                self._meanings[number] = joined([*split(known), meaning])
        self._seen.add(number)
        if note:
            self._latest = max(self._latest, *note[1:3])
        return number

    def memo(
        self,
        head: str,
        expires: float,
        common: Iterable[int],
        services: dict[str, Known],
        git: dict[str, str],
    ) -> Memo:
        """The Memo of this table; paths that nothing depends on any more are blank, or left out
        once they are many."""
        tree = self._tree_now()
        used = self._kept.union(self._seen, tree.rest if tree else ())
        if (len(self._paths) - len(used)) * _FEW_BLANKS > len(used):
            services, common = self._compact(sorted(used), services, common)
            tree = None
        else:
            for number in self._dropped - used:
                self._paths[number], self._notes[number], self._meanings[number] = "", None, ""
        return Memo(
            head,
            self._paths,
            self._notes,
            len(services),
            sum(not known.digest for known in services.values()),
            expires,
            self._latest,
            git,
            tree,
            meanings=self._meanings,
            common=sorted(set(common)),
            services=services,
        )

    def _tree_now(self) -> Tree | None:
        """What the answers of git depend on still: what no service depends on any more may be
        tracked by git.  None where a path was noted after git was asked, and has moved between.
        """
        tree = self._tree
        if tree is None or not tree.own:
            return tree
        rest = set(tree.rest) - self._seen
        for number in self._seen.union(self._dropped - self._kept - rest):
            note = (
                self._looked.get(number, self._known[number]) if number < len(self._known) else ()
            )
            if note == () or self._paths[number].partition("/")[0] in OURS:
                continue  # no answer depends on its note; and git tracks nothing there
            if number not in self._seen:
                self._notes[number], self._meanings[number] = note, ""
                rest.add(number)
            elif self._notes[number] != note:
                return None
        return Tree(tree.own, sorted(rest))

    def _compact(
        self, used: list[int], services: dict[str, Known], common: Iterable[int]
    ) -> tuple[dict[str, Known], list[int]]:
        """Number only the paths *used*; returns *services* and *common* with the new numbers."""
        new = {number: place for place, number in enumerate(used)}
        self._paths = [self._paths[number] for number in used]
        self._notes = self._notes.picked(used)
        meanings, self._meanings = self._meanings, Meanings()
        for number in used:
            self._meanings.append(meanings[number])
        numbered = {
            name: known._replace(watched=[new[number] for number in known.watched])
            for name, known in services.items()
        }
        return numbered, [new[number] for number in common]


class _Service:
    """All that the image of *task* depends on; *digest* is "" unless it is known to be current."""

    def __init__(self, session: "Session", task: "Task") -> None:
        self.seen = set[Input]()
        self.watches: list[Watch] = []
        self.expires = _NEVER
        self.digest = self._look(session, task)

    def _look(self, session: "Session", task: "Task") -> str:
        """Collect it all; "" when something is not up to date, or not known to be."""
        files, root = session.world.files, session.world.root
        service = session.graph.services[task.name.removeprefix("image:")]
        queue = list(task.actions)
        for name in queue:  # grows while it is walked
            verdict = session.engine.known(name)
            if verdict is None or verdict.result is None:
                return ""
            queue += [dep for dep in session.graph.actions[name].deps.values() if dep not in queue]
            blobs = {
                Input("file", _inside(session.world.store.path(blob.digest), root)): blob.digest
                for blob in verdict.result.outputs.values()
            }
            for item, value in (*verdict.record.items(), *blobs.items()):
                self.seen.add(item)
                if item.kind == "env":
                    continue  # a memo is of one environment
                if item.kind == "head" and Input("file", item.path) in self.seen:
                    continue  # a compiler, which comes before its listing, reads all of it
                note = files.note(item, value)
                self.watches.append((item.path, (item.kind, item.pattern, value), note))
            self.expires = min(self.expires, verdict.result.facts.get("expires", _NEVER))
        if service.origin in session.sources:
            self.seen.add(Input("file", service.origin))
            self.watches.append(_declared(service.origin, session))
        digest, watches = session.exports.watch(task)
        self.watches += watches
        return digest


def _common(session: "Session", seen: set[Input]) -> Iterator[Watch]:
    """What everything depends on: tools and configuration."""
    files, root = session.world.files, session.world.root
    for item, value in files.observed.items():
        if item not in seen and item.kind != "env":
            yield item.path, (item.kind, item.pattern, value), files.note(item, value)
    for path, note in files.looks.items():
        yield _inside(path, root), None, note
    own = {service.origin for service in session.graph.services.values()}
    for name in session.sources:
        if name not in own:
            yield _declared(name, session)
    value, note = value_at("file", os.path.join(root, SUMMARY))
    yield SUMMARY, ("file", "", value), note


def _program(session: "Session", began: int) -> Iterator[Watch]:
    """What this program is made of, and where it finds others.

    A file that has changed since this process was started, long before it *began* in one kept at
    hand, may be another program's by now: no look at one like that counts.
    """
    try:
        oldest = started_at(os.getpid()) - _TICK
    except OSError:  # no /proc
        oldest = began - _IMPORTS
    own_folder = glob.escape(os.path.dirname(scratchtasks.__file__))
    own_files = glob.glob(f"{own_folder}/**/*.py", recursive=True)
    for path, note in session.world.files.notes_of(
        [*packages(session.world.root), *own_files]
    ).items():
        is_older = note is None or (note and max(note[1:3]) < oldest)
        yield path, None, note if is_older else ()
    for folder in {*map(os.path.dirname, own_files)}:
        value, note = value_at("names", folder, "*.py")  # Python writes other files there
        yield folder, ("names", "*.py", value), note


def _declared(path: str, session: "Session") -> Watch:
    """A file that declares something; what counts is what was read of it."""
    read, item = session.sources[path], Input("file", path)
    is_still = session.world.files.observe(item) == read
    return path, ("file", "", read), session.world.files.note(item, read) if is_still else ()


def _inside(path: str, root: str) -> str:
    return path.removeprefix(f"{root}/")
