"""doctor: what this machine has. This file does NOT look: ncsn_edu/doctor.py does; here its findings are printed."""

import argparse
import json
from dataclasses import asdict

from .. import doctor
from .common import Commands, new_command


def add(commands: Commands) -> None:
    """The parser of doctor."""
    parser = new_command(commands, "doctor", run, "say what this machine has, what is missing, and how to fix it")
    parser.add_argument("--json", action="store_true", help="the same for programs")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; 1 where something required is missing."""
    found = doctor.checks()
    if arguments.json:
        print(json.dumps([asdict(check) for check in found], indent=2))
    else:
        _print_table(found)
    return int(any(check.status == "missing" for check in found))


def _print_table(found: list[doctor.Check]) -> None:
    width = max(len(check.name) for check in found)
    for check in found:
        print(f"{check.name:<{width}}  {check.status:<8}  {check.detail}")
    for status, title in (("missing", "Missing: fix these first"), ("optional", "Optional: only if you want them")):
        fixes: dict[str, list[str]] = {}
        for check in found:
            if check.status == status and check.fix:
                fixes.setdefault(check.fix, []).append(check.name)
        if fixes:
            print(f"\n{title}")
        for fix, names in fixes.items():
            print(f"  {', '.join(names)}:\n      {fix}")
    if not any(check.status == "missing" for check in found):
        print("\nNothing required is missing. Start with: python -m ncsn_edu lab")
