"""Write constraints.txt: the installed version of every package that ncsn_edu with its extras brings in.

One set of versions that is tested together, in plain name==version lines. Run it on Python 3.11, the oldest that takes
these versions: newer ones need a package or two less.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
# A torch with CUDA names the exact versions of these itself, and a CPU torch does not have them.
PINNED_BY_TORCH = re.compile(r"nvidia-|cuda-|triton")


def installed_closure(name: str = "ncsn_edu", extras: tuple[str, ...] = ("dev", "teach", "site")) -> dict[str, str]:
    """name -> installed version (a local suffix such as +cpu dropped) of all that `name[extras]` requires."""
    versions: dict[str, str] = {}
    todo, seen = [(name, extra) for extra in ("", *extras)], set()
    while todo:
        package, extra = todo.pop()
        if (canonicalize_name(package), extra) in seen:
            continue
        seen.add((canonicalize_name(package), extra))
        try:
            found = distribution(package)
        except PackageNotFoundError:
            raise SystemExit(f"{package} is not installed: run `make unit` once, which sets everything up.") from None
        versions[found.name] = found.version.split("+")[0]
        for line in found.requires or []:
            requirement = Requirement(line)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            if applies and not PINNED_BY_TORCH.match(requirement.name):
                todo += [(requirement.name, wanted) for wanted in ("", *requirement.extras)]
    own = canonicalize_name(name)
    return {package: version for package, version in versions.items() if canonicalize_name(package) != own}


def main() -> None:
    pins = sorted(installed_closure().items(), key=lambda pin: pin[0].lower())
    path = ROOT / "constraints.txt"
    path.write_text("".join(f"{name}=={version}\n" for name, version in pins), encoding="utf-8")
    print(f"wrote {path.name}: {len(pins)} packages")


if __name__ == "__main__":
    main()
