"""Find what was handed in: each file in a folder, whose it is, and which of them are to be graded.

Known are STUDENT/ASSIGNMENT/file (as nbgrader collects), STUDENT/file, STUDENT.ipynb, ASSIGNMENT/STUDENT/file,
ASSIGNMENT/STUDENT.ipynb, a folder around one of these, and the names that Moodle and Canvas give. Zip files are
unpacked. Every file has an entry in what is found. This file does NOT read notebooks (submissions.py does).
"""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from .submissions import Submission, Unreadable, as_word, in_words, what_it_is
from .zips import DEEPEST, MARK, MOST_OF_A_CLASS, MOST_OF_ONE, Member, unpack

FEEDBACK = ".feedback.html"
TABLE, KNOWN, KEPT, ELSEWHERE = "grades.csv", ".grades.json", ".graded", "feedback-elsewhere"  # ours, in the folder
OTHER_TABLE = re.compile(r"grades-\d+\.csv")  # somebody's, renamed by `grade.keep_other_table`
NO_SUBMISSION = (".csv", ".xlsx", ".ods", ".db", ".log", ".pyc", ".yml", ".yaml", "index.html")
JUNK = re.compile(
    r"\.DS_Store|Thumbs\.db|desktop\.ini|__MACOSX|__pycache__|\._.*|~\$.*|\.~lock.*|.*\.pyc"
    r"|\..*\.[0-9a-f]{12}\.tmp|.*\.feedback\.html",
    re.DOTALL,
)
CHECKPOINTS = ".ipynb_checkpoints"
HELD_TESTS = "a graded notebook of an earlier version of this command, deleted if it held hidden tests"
AROUND = ("submitted", "submissions")
COURSE = ("source", "release", "autograded", "feedback", "exchange", "nbgrader_config.py", "gradebook.db")
# First Last_1234_assignsubmission_file (a folder; older versions end it with _), or the same before a file's name.
MOODLE = re.compile(r"(?P<name>.+?)(?:_(?P<id>\d+))?_assignsubmission_(?P<kind>[^_]+)(?:_(?P<rest>.*))?", re.DOTALL)
# lastfirst_LATE_1234_5678_file.ipynb: the numbers are of the student and of the file; anon_AbCdE with blind marking.
CANVAS = re.compile(
    r"(?:(?P<name>[\w'’-]+?)_(?P<late>LATE_)?(?P<id>\d+)|(?P<late2>LATE_)?(?P<anonymous>anon_[^_\W]+))"
    r"_(?:(?P<file>\d+)_(?P<rest>.+)|(?P<typed>text|link)\.html)",
    re.DOTALL,
)
# ASSIGNMENT_USER_attempt_2024-10-01-12-00-00_file.ipynb, and ....txt about it
BLACKBOARD = re.compile(r"(?P<name>.+)_attempt_(?P<at>\d{4}(?:-\d\d){5})(?:_(?P<rest>.+)|\.txt)", re.DOTALL)
NO_STUDENTS = "a table or a log, no submission"
IN_THE_COURSE = "a part of nbgrader's course, beside submitted/"
ICLOUD = "iCloud has left this in the place of a file: ask for the file, or download it, and grade again"
AGAIN = re.compile(r"(?P<name>.+?)(?:-(?P<n>\d{1,2})| ?\((?P<m>\d{1,2})\))")  # name-1, name (1)
MOST_BESIDE = 20


@dataclass
class Entry:
    """A file, or a folder that has none, with its place below the folder in parts."""

    parts: tuple[str, ...]
    path: Path
    home: Path
    reason: str = ""
    ignored: str = ""
    remark: str = ""
    modified: float = 0.0
    around: int = 0  # so many of the parts are folders around the submissions

    @property
    def inner(self) -> tuple[str, ...]:
        """The parts without the folders around."""
        return self.parts[self.around :]

    @property
    def is_notebook(self) -> bool:
        """By its name: what mail programs have made of x.ipynb, too."""
        return ".ipynb" in self.parts[-1].lower()


@dataclass(frozen=True)
class Owner:
    """What the names of a file and its folders say."""

    student: str
    number: str = ""  # the platform's number of the student
    assignment: str | None = None
    late: bool = False
    typed: bool = False  # not a file: typed into the platform
    order: tuple[float, ...] = (0.0, 0.0)  # the platform's number of the file, the attempt


@dataclass
class Found:
    """What lies in a folder: a submission for each file, and how the layout was understood, in words."""

    submissions: list[Submission] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find(
    folder: Path,
    names: list[str],
    scratch: Path | None = None,
    lost: Iterable[Member] = (),
    out: Path | None = None,
) -> Found:
    """What lies in a folder. Zip files are unpacked into scratch; `lost` could not be unpacked into the folder before.

    names: those of the assignments. out: where results go, which holds no submissions. Raises OSError where the folder
    itself cannot be read.
    """
    entries = [*_scan(folder, scratch, out or folder), *(Entry(m.parts, folder, folder, reason=m.reason) for m in lost)]
    entries.sort(key=lambda entry: entry.parts)
    notes = _unwrap(entries, names)
    owners = _together([_owner(entry.inner, names) for entry in entries])
    by_student: dict[str, list[tuple[Owner, Entry]]] = defaultdict(list)
    found = Found([], notes)
    for owner, entry in zip(owners, entries, strict=True):
        top = len(entry.inner) <= 1 or (len(entry.inner) == 2 and called(entry.inner[0], names) is not None)
        if top and not entry.is_notebook and entry.inner[-1:] and entry.inner[-1].endswith(NO_SUBMISSION):
            entry.ignored = entry.ignored or NO_STUDENTS
        if entry.ignored and (len(entry.inner) <= 1 or entry.ignored in (NO_STUDENTS, IN_THE_COURSE)):
            found.submissions.append(_submission(replace(owner, student=""), entry))
        else:
            by_student[owner.student].append((owner, entry))
    for mine in by_student.values():
        found.submissions += _sorted_out(mine)
    found.notes += _words_on_layout(entries, owners, names)
    return found


# ---- which files there are -------------------------------------------------------------------------------------


def _scan(folder: Path, scratch: Path | None, out: Path) -> Iterator[Entry]:
    """Each file below a folder, in place of a zip file what is in it, and each folder that holds nothing."""
    root, results = os.path.realpath(folder), os.path.realpath(out)
    waiting: list[tuple[tuple[str, ...], Path]] = [((), folder)]
    archives, room = 0, Room(MOST_OF_A_CLASS)
    while waiting:
        parts, place = waiting.pop()
        try:
            with os.scandir(place) as items:
                inside = sorted((item for item in items if not _is_ours(item.name, parts)), key=lambda item: item.name)
        except OSError as error:
            if not parts:
                raise
            yield Entry(parts, place, place.parent, reason=in_words(error))
            continue
        if parts and not inside:
            yield Entry(parts, place, place, reason="there is nothing in the folder")
        for item in inside:
            if results != root and os.path.realpath(item.path) == results:
                continue
            entry = Entry((*parts, item.name), Path(item.path), place)
            if _is_to_be_entered(entry, item, root):
                waiting.append((entry.parts, entry.path))
            elif scratch is not None and not (entry.reason or entry.ignored) and item.name.lower().endswith(".zip"):
                archives += 1
                yield from _inside(entry, scratch / str(archives), room)
            else:
                yield entry


def _is_to_be_entered(entry: Entry, item: os.DirEntry[str], root: str) -> bool:
    """Is it a folder to look into? Of all else the entry says what can be told without reading it."""
    hidden = item.name.startswith(".")
    try:
        is_folder = item.is_dir(follow_symlinks=False)
        if CHECKPOINTS in entry.parts[:-1]:
            entry.ignored = "Jupyter's own copy of an earlier state"
        elif hidden and item.name.endswith(".graded.ipynb") and not is_folder:
            entry.ignored = HELD_TESTS
        elif hidden and item.name.endswith(".icloud"):
            entry.reason = ICLOUD
        elif hidden and item.name != CHECKPOINTS:
            entry.ignored = f"a hidden {'folder' if is_folder else 'file'}"
        elif item.is_symlink():
            _follow(entry, root)
        elif is_folder and len(entry.parts) > DEEPEST:
            entry.ignored = f"folders in folders, more than {DEEPEST} deep"
        elif is_folder:
            return True
        else:
            entry.reason = what_it_is(entry.path)
            entry.modified = item.stat().st_mtime
    except OSError as error:
        entry.reason = in_words(error)
    return False


def _is_ours(name: str, parts: tuple[str, ...]) -> bool:
    """Made by us or by the system, not by a student."""
    ours = name in (TABLE, KNOWN, KEPT, ELSEWHERE, MARK) or OTHER_TABLE.fullmatch(name)
    return bool(JUNK.fullmatch(name)) or (not parts and bool(ours))


def _follow(entry: Entry, root: str) -> None:
    """What a link leads to. Raises OSError where that is nothing."""
    try:
        entry.modified = os.stat(entry.path).st_mtime
    except FileNotFoundError:
        entry.reason = (
            f"this is a link to {shown(os.readlink(entry.path))}, which is not there: put the file itself here"
        )
        return
    target = os.path.realpath(entry.path)
    below = os.path.relpath(target, root)
    if below.split(os.sep)[0] == os.pardir:
        entry.reason = f"this is a link to {shown(target)}, outside of the folder: put the file itself here"
    elif os.path.isdir(target):
        entry.reason = f"this is a link to the folder {shown(below)}, which is graded where it is"
    else:
        entry.reason = what_it_is(entry.path)
        entry.remark = f"this is a link to {shown(below)}, and was graded all the same"


@dataclass
class Room:
    """How many bytes may still be unpacked."""

    left: int


def _inside(entry: Entry, to: Path, room: Room, level: int = 1) -> Iterator[Entry]:
    """The files in a zip that a student has handed in, in place of it."""
    try:
        members = unpack(entry.path, to, room.left if level > 1 else min(room.left, MOST_OF_ONE))
    except Unreadable as error:
        yield replace(entry, reason=str(error))
        return
    size = sum(member.path.stat().st_size for member in members if member.path is not None)
    room.left -= size
    own = Room(min(room.left, MOST_OF_ONE - size)) if level == 1 else room
    members = [member for member in members if not any(JUNK.fullmatch(part) for part in member.parts)]
    if not members:
        yield replace(entry, reason="this zip file holds no files")
    for number, member in enumerate(members):
        inner = replace(
            entry, parts=(*entry.parts, *member.parts), path=member.path or entry.path, reason=member.reason
        )
        if member.path is not None:
            inner.modified = member.path.stat().st_mtime
        if any(part.startswith(".") and part != ".." for part in member.parts):
            inner.ignored, inner.reason = "a hidden file", ""
        if not (inner.reason or inner.ignored) and member.parts[-1].lower().endswith(".zip"):
            if level == 2:
                yield replace(inner, reason="a zip file in a zip file in a zip file: ask for the .ipynb file")
            else:
                before = own.left
                yield from _inside(inner, to.with_name(f"{to.name}-{number}"), own, level + 1)
                room.left -= (before - own.left) if own is not room else 0
        else:
            yield inner


# ---- whose they are --------------------------------------------------------------------------------------------


def _unwrap(entries: list[Entry], names: list[str]) -> list[str]:
    """Set how many folders there are around the submissions; says in words which."""
    notes: list[str] = []
    counted = [entry for entry in entries if not entry.ignored]
    while counted:
        tops = {entry.inner[0] for entry in counted if entry.inner}
        inside = [entry for entry in counted if len(entry.inner) > 1]
        around = next((name for name in AROUND if any(entry.inner[0] == name for entry in inside)), None)
        if around is None and len(tops) == 1 and len(inside) == len(counted) and _is_around(inside, names):
            (around,) = tops
        if around is None:
            return notes
        place = "/".join((*inside[0].parts[: inside[0].around], around))
        notes.append(f"{shown(place)}/ is taken for the folder of all submissions")
        for entry in counted:
            if entry.inner[0] == around:
                entry.around += 1
            elif around == AROUND[0] and entry.inner[0] in COURSE:
                entry.ignored = IN_THE_COURSE
        counted = [entry for entry in inside if entry.inner and not entry.ignored and entry.around]
    return notes


def _is_around(entries: list[Entry], names: list[str]) -> bool:
    """Is the one folder that holds everything no student, but a folder of students?"""
    top = entries[0].inner[0]
    if called(top, names) or MOODLE.fullmatch(top) or CANVAS.fullmatch(top) or top.lower().endswith((".zip", ".ipynb")):
        return False
    seconds = {entry.inner[1] for entry in entries}
    if len(seconds) == 1 and all(len(entry.inner) > 2 for entry in entries):
        return _is_around([replace(entry, around=entry.around + 1) for entry in entries], names)
    if any(MOODLE.fullmatch(name) or CANVAS.fullmatch(name) for name in seconds):
        return True
    folders = {entry.inner[1] for entry in entries if len(entry.inner) > 2}
    if any(called(name, names) for name in folders):  # STUDENT/ASSIGNMENT/file, or ASSIGNMENT/STUDENT/file below one
        return any(
            called(entry.inner[1], names) and len({e.inner[2] for e in entries if len(e.inner) > 3}) > 1
            for entry in entries
        )
    holders = {entry.inner[1] for entry in entries if entry.is_notebook}
    return len({_student_of(Path(name).stem, names) for name in holders if Path(name).stem not in names}) > 1


def _owner(parts: tuple[str, ...], names: list[str], assignment: str | None = None) -> Owner:
    """Whose a file is, by the names of its folders and its own."""
    top, inside = parts[0] if parts else "", len(parts) > 1
    top = unicodedata.normalize("NFC", top)
    if moodle := MOODLE.fullmatch(top):
        again = _again(Path(parts[-1]).stem)
        student = moodle["name"].strip() or top
        known = assignment or _assignment_in(parts[1:-1], names)
        return Owner(student, moodle["id"] or "", known, typed=moodle["kind"] != "file", order=(0.0, again[1]))
    if canvas := CANVAS.fullmatch(top):
        again = _again(Path(canvas["rest"] or "").stem)
        number = canvas["id"] or canvas["anonymous"]
        return Owner(
            canvas["name"] or number,
            number,
            assignment or _assignment_in(parts[1:-1], names),
            bool(canvas["late"] or canvas["late2"]),
            bool(canvas["typed"]),
            (float(canvas["file"] or 0), again[1]),
        )
    if blackboard := BLACKBOARD.fullmatch(top):
        moment = float(blackboard["at"].replace("-", ""))
        return Owner(_student_of(blackboard["name"], names), "", assignment, order=(moment, 0.0))
    if inside and assignment is None and (found := called(top, names)):
        return _owner(parts[1:], names, found)
    if inside:
        name = top[: -len(Path(top).suffix)] if top.lower().endswith((".ipynb", ".zip")) else top
        known = assignment or _assignment_in(parts[1:-1], names)
        return Owner(_student_of(name, names), "", known, order=(0.0, _again(Path(parts[-1]).stem)[1]))
    stem = Path(top).stem.removesuffix(".ipynb")
    return Owner(_student_of(stem, names), "", assignment)


def _assignment_in(folders: tuple[str, ...], names: list[str]) -> str | None:
    return next((found for name in folders if (found := called(name, names))), None)


def called(name: str, names: list[str]) -> str | None:
    """The assignment that a folder is called after: by its whole name, or by the first word of it, as in A1."""
    plain = re.sub(r"[\W_]+", "", name).casefold()
    for assignment in names:
        if plain in (re.sub(r"[\W_]+", "", assignment).casefold(), assignment.partition("_")[0].casefold()):
            return assignment
    return None


def _student_of(stem: str, names: list[str]) -> str:
    """anna of anna_a1_scores_and_langevin, anna of a1_scores_and_langevin-anna; otherwise the whole name."""
    for name in names:
        rest, times = as_word(name).subn("", stem)
        if times and rest.strip(" -_."):
            return rest.strip(" -_.")
    return stem


def _again(stem: str) -> tuple[str, float]:
    """name and 2 of name-2 and name (2), which platforms and browsers write for another try."""
    found = AGAIN.fullmatch(stem)
    return (found["name"], float(found["n"] or found["m"])) if found else (stem, 0.0)


def _together(owners: list[Owner]) -> list[Owner]:
    """Other tries of a student who is there are his; two students of one name are told apart by their numbers."""
    there = {owner.student for owner in owners}
    numbers: dict[str, set[str]] = defaultdict(set)
    for owner in owners:
        numbers[owner.student] |= {owner.number} - {""}
    found = []
    for owner in owners:
        name, attempt = _again(owner.student)
        if attempt and not owner.number and name.rstrip(" -_.") in there:
            owner = replace(owner, student=name.rstrip(" -_."), order=(owner.order[0], attempt))
        elif len(numbers[owner.student]) > 1 and owner.number:
            owner = replace(owner, student=f"{owner.student} ({owner.number})")
        found.append(owner)
    return found


# ---- which of them count ---------------------------------------------------------------------------------------


def _sorted_out(mine: list[tuple[Owner, Entry]]) -> list[Submission]:
    """All that one student has handed in: notebooks, and what is none and lies beside them."""
    good = [entry for _, entry in mine if entry.is_notebook and not (entry.ignored or entry.reason)]
    first = good[0].parts[-1] if good else ""
    many = Counter(
        entry.parts[:-1] for _, entry in mine if not entry.is_notebook and not entry.ignored and len(entry.inner) > 2
    )
    others: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for _, entry in mine:
        if not (entry.is_notebook or entry.ignored or entry.reason):
            others[entry.parts[:-1]].append(entry.path)
    found: list[Submission] = []
    said: set[tuple[str, ...]] = set()
    for owner, entry in mine:
        folder = entry.parts[:-1]
        if not entry.is_notebook and not entry.ignored:
            if many[folder] > MOST_BESIDE and good:
                ignored = f"a folder of {many[folder]} files that are no notebooks"
                if folder not in said:
                    found.append(_submission(owner, replace(entry, parts=folder, reason="", ignored=ignored)))
                said.add(folder)
                continue
            if owner.typed and good:
                entry = replace(entry, ignored="typed into the learning platform: read it there")
            elif owner.typed:
                entry = replace(entry, reason="no file, but a text typed into the learning platform: read it there")
            elif good:
                entry = replace(entry, reason="", ignored=entry.reason or f"no notebook: it came with {shown(first)}")
        beside = tuple(others[folder]) if entry.is_notebook else ()
        found.append(replace(_submission(owner, entry), beside=beside))
    if found and all(submission.ignored for submission in found):
        found[0] = replace(found[0], ignored="", reason=f"there is nothing to grade: {found[0].ignored}")
    return found


def _submission(owner: Owner, entry: Entry) -> Submission:
    remarks = [entry.remark] if entry.remark else []
    if owner.late:
        remarks.append("Canvas has it as late")
    return Submission(
        owner.student,
        entry.path,
        owner.assignment,
        "/".join(entry.parts),
        entry.home,
        tuple(remarks),
        entry.reason,
        entry.ignored,
        (owner.order[0], entry.modified, owner.order[1]),
    )


def _words_on_layout(entries: list[Entry], owners: list[Owner], names: list[str]) -> list[str]:
    """What was decided where a folder can be read in two ways."""
    notes = []
    counted = [(entry, owner) for entry, owner in zip(entries, owners, strict=True) if not entry.ignored]
    tops = {entry.inner[0] for entry, _ in counted if len(entry.inner) > 1}
    for top in sorted(top for top in tops if called(top, names) and not MOODLE.fullmatch(top)):
        notes.append(f"{shown(top)}/ is taken for a folder of the assignment {called(top, names)}, with students in it")
    for top in sorted(tops):
        flat = [entry for entry, _ in counted if len(entry.inner) == 2 and entry.inner[0] == top and entry.is_notebook]
        other = [entry for entry in flat if not any(as_word(name).search(entry.inner[1]) for name in names)]
        if len(other) > 1 and not called(top, names) and not MOODLE.fullmatch(top):
            notes.append(
                f"{shown(top)}/ holds {len(flat)} notebooks and is taken for one student's; if each is another "
                "student's, call the folder after the assignment"
            )
    platforms = [("Moodle", MOODLE), ("Canvas", CANVAS), ("Blackboard", BLACKBOARD)]
    for platform, pattern in platforms:
        if any(entry.inner and pattern.fullmatch(entry.inner[0]) for entry, _ in counted):
            notes.append(f"names are read as {platform} gives them")
            break
    return notes


def shown(name: str) -> str:
    """A file's name as text that can be printed and stored: bytes that are no UTF-8 are read as Windows-1252."""
    text = os.fsencode(name).decode("utf-8", "ncsn_edu.windows")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
