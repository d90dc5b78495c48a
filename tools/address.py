"""Write the repository's address, which pyproject.toml has in [project.urls], where readers need it.

    python tools/address.py            README.md, CONTRIBUTING.md, CITATION.cff and the sources of all notebooks
    python tools/address.py --check    only say which of them has another one

From it come the line that clones, the badges of Colab and Binder, the link for JupyterHubs, and what each notebook
installs on Colab. Without an address there are no badges, and the other lines say what to put in.
"""

import argparse
import re
import sys
from pathlib import Path
from textwrap import indent
from urllib.parse import quote, urlsplit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
BRANCH, FIRST = "main", "00_start_here.ipynb"
UNKNOWN = "<address of this repository>"
SOURCES = tuple(f"notebooks/source/{path.name}" for path in sorted((ROOT / "notebooks" / "source").glob("*.py")))
FILES = ("README.md", "CONTRIBUTING.md", "CITATION.cff", *SOURCES)
ON_COLAB = 'if "google.colab" in sys.modules:\n'
ASKED = """raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")"""
# A line of Python stands before the magic, which is a comment to all but jupytext.
GETS = 'print("Colab gets the package, which takes a minute or two")\n# %pip install -q git+{address}'
# The whole of that cell in a notebook, with an address or without.
FOR_COLAB = re.compile(
    rf'import sys\n\n{re.escape(ON_COLAB)}    (raise SystemExit\(".*"\)|print\(".*"\)\n    %pip install -q \S+)'
)
BADGES = "<!-- badges, made by `make address` -->", "<!-- end of badges -->"
PLACES = "<!-- places, made by `make address` -->", "<!-- end of places -->"
ELSEWHERE = """\
**Colab.** {colab}

**Binder** needs no account and installs nothing: `binder/` says how it builds, and a learner's copy is in `work/`.
{binder}

**JupyterHub** with nbgitpuller, where `pip install git+{address}` was run once: hand out this link.
It gets the notebooks into each student's home, and keeps what they changed.

```text
https://<address of your hub>/hub/user-redirect/git-pull?{query}
```

**Codespaces, VS Code.** `.devcontainer/` sets everything up: *Reopen in Container*, then `make lab`.

**A folder of your own.** `pip install git+{address}`, then `ncsn-edu lab`: the notebooks are in the package."""


class AddressError(ValueError):
    """The address in pyproject.toml is none."""


def address_of(project: str) -> str | None:
    """The address in the text of a pyproject.toml, without / or .git at its end; None where there is none."""
    given = tomllib.loads(project)["project"].get("urls", {}).get("Repository")
    if given is None:
        return None
    parts = urlsplit(given)
    if parts.scheme != "https" or not parts.netloc or not re.fullmatch(r"(/[\w.~-]+){2,}/?", parts.path):
        raise AddressError(f"Repository = {given!r} in pyproject.toml: give one like https://github.com/OWNER/NAME")
    return given.rstrip("/").removesuffix(".git")


def binder(address: str) -> str:
    """The address at which Binder opens the learner's copy."""
    parts = urlsplit(address)
    path = parts.path.strip("/")
    places = {"github.com": f"gh/{path}", "gitlab.com": f"gl/{quote(path, safe='')}"}
    place = places.get(parts.netloc, f"git/{quote(address, safe='')}")
    return f"https://mybinder.org/v2/{place}/{BRANCH}?urlpath=lab/tree/work/{FIRST}"


def on_github(address: str) -> bool:
    """Whether Colab can open it."""
    return urlsplit(address).netloc == "github.com"


def colab(address: str) -> str:
    """The address at which Colab lists the notebooks of a repository."""
    return f"https://colab.research.google.com/github{urlsplit(address).path}"


def badges(address: str) -> str:
    """Markdown of the badges; Colab opens notebooks of GitHub alone."""
    found = [f"[![Binder](https://mybinder.org/badge_logo.svg)]({binder(address)})"]
    if on_github(address):
        place = f"{colab(address)}/blob/{BRANCH}/notebooks/{FIRST}"
        found.insert(0, f"[![Colab](https://colab.research.google.com/assets/colab-badge.svg)]({place})")
    return "\n".join(found)


def elsewhere(address: str | None) -> str:
    """How to open the notebooks in other places, for README.md."""
    name = (address or "ncsn_edu").rpartition("/")[2]
    repository = quote(address, safe="") if address else UNKNOWN
    query = f"repo={repository}&branch={BRANCH}&urlpath={quote(f'lab/tree/{name}/notebooks/{FIRST}', safe='')}"
    link = f"Its address: <{binder(address)}>" if address else f"Give it `{UNKNOWN}` at mybinder.org."
    first = "The first cell of each installs the package there, and does nothing anywhere else."
    if address is None:
        first = "Once `make address` was run, the first cell of each installs the package there, and nowhere else."
    place = f": <{colab(address)}>." if address and on_github(address) else " that are on GitHub."
    colabs = f"It opens notebooks{place} {first}"
    return ELSEWHERE.format(address=address or UNKNOWN, binder=link, query=query, colab=colabs)


def written(name: str, text: str, address: str | None) -> str:
    """The text of a file as it is with this address."""
    if name == "CITATION.cff":
        text = re.sub(r"^repository-code: .*\n", "", text, flags=re.MULTILINE)
        line = f'repository-code: "{address}"\n' if address else ""
        return re.sub(r"^(type: software\n)", rf"\1{line}", text, flags=re.MULTILINE)
    if name.endswith(".py"):
        lines = GETS.format(address=address) if address else ASKED
        return re.sub(f"{ON_COLAB}(    .*\n)+", lambda _: f"{ON_COLAB}{indent(lines, 4 * ' ')}\n", text)
    folder = (address or "ncsn_edu").rpartition("/")[2]
    text = re.sub(r"git clone .+ && cd \S+", lambda _: f"git clone {address or UNKNOWN} && cd {folder}", text)
    for (begin, end), made in ((BADGES, badges(address) if address else ""), (PLACES, elsewhere(address))):
        between = f"{begin}\n\n{made}\n\n{end}" if made else f"{begin}{end}"
        text = re.sub(f"{begin}.*{end}", lambda _, new=between: new, text, flags=re.DOTALL)
    return text


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing: 1 where a file has another address")
    check = parser.parse_args(argv).check
    try:
        address = address_of((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    except AddressError as error:
        print(f"address: {error}", file=sys.stderr)
        return 1
    others, sources = 0, False
    for name in FILES:
        text = (ROOT / name).read_text(encoding="utf-8")
        if (new := written(name, text, address)) != text:
            others += 1
            sources |= name.endswith(".py")
            print(f"{name} {'has another address: make address' if check else 'written'}")
            if not check:
                (ROOT / name).write_text(new, encoding="utf-8")
    if sources and not check:
        print("and now, for the notebooks: make notebooks ARGS=--prose")
    return int(check and others > 0)


if __name__ == "__main__":
    sys.exit(main())
