"""What JupyterLab serves, asked for by plain requests: nothing that a notebook links to or shows may be missing.

The real command is started, as a learner starts it, as an editor does, and from a package that was built.
"""

import http.client
import json
import os
import posixpath
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, unquote

import nbformat
import pytest
from waiting import closed_port, wait_for

from ncsn_edu.kernels import child_environment

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "of_this_test"
LINKS = re.compile(r"""\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)|\b(?:src|href)=["']([^"']+)["']""")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there the server is a child of the command, and stays")


class Server:
    """JupyterLab as `python -m ncsn_edu lab` starts it, with no file of the user's."""

    def __init__(self, folder, root, *arguments, package=None):
        self.root, self.log = root, folder / "log"
        self.port = closed_port()
        own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "HOME")
        environment = child_environment() | {name: str(folder / name.lower()) for name in own}
        if package:
            environment["PYTHONPATH"] = str(package)
        (folder / "home").mkdir()
        command = [sys.executable, "-m", "ncsn_edu", "lab", "--no-browser", f"--port={self.port}", *arguments]
        command += ["--", f"--IdentityProvider.token={TOKEN}", "--ServerApp.shutdown_no_activity_timeout=300"]
        command += ["--allow-root"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)

    def ask(self, path):
        """(status, body) of a path of the server."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Authorization": f"token {TOKEN}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def wait_until_ready(self):
        wait_for(self.answers, "the server answers", every=0.1)
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(self.log.read_text(errors="replace")[-2000:])
        try:
            return self.ask("/api/status")[0] == 200
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)


@pytest.fixture(scope="module", params=["learner", "--edit", "installed"])
def server(request, tmp_path_factory):
    folder, how = tmp_path_factory.mktemp("served"), request.param
    if how == "learner":
        server = Server(folder, folder / "mine", "--folder", str(folder / "mine"))
    elif how == "--edit":
        server = Server(folder, ROOT, "--edit")
    else:
        server = Server(folder, folder / "ncsn-edu", package=built(tmp_path_factory.mktemp("built")))
    server.learner = how != "--edit"
    try:
        yield server.wait_until_ready()
    finally:
        server.stop()


def built(folder):
    """The package as a wheel has it."""
    pytest.importorskip("setuptools", minversion="77", reason="builds the package")
    command = [
        sys.executable,
        "setup.py",
        "-q",
        "egg_info",
        f"--egg-base={folder}",
        "build_py",
        f"--build-lib={folder}",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 20e6 < sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 40e6
    return folder


def texts(path):
    """What a page, or a notebook, lets JupyterLab render: prose, and outputs that are prose."""
    if path.suffix == ".md":
        return [path.read_text("utf-8")]
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    shown = [data[kind] for data in outputs for kind in ("text/markdown", "text/html") if kind in data]
    return [cell.source for cell in cells if cell.cell_type == "markdown"] + shown


def links_of(path):
    """Links and pictures, as written; code only looks like it."""
    for text in texts(path):
        for found in LINKS.findall(CODE.sub("", text)):
            link = found[0] or found[1]
            if not re.match(r"\w+:|#", link):
                yield unquote(link.partition("#")[0])


def test_no_link_nor_picture_of_any_notebook_is_missing(server):
    served = server.root if server.learner else server.root / "notebooks"
    pages = sorted(
        path for kind in ("*.ipynb", "*.md") for path in served.rglob(kind) if ".ipynb_check" not in str(path)
    )
    assert len([path for path in pages if path.suffix == ".ipynb"]) >= 25
    asked, missing = {}, []
    for page in pages:
        for link in links_of(page):
            place = posixpath.normpath(posixpath.join(page.relative_to(server.root).parent.as_posix(), link))
            if place not in asked:
                asked[place] = 404 if place.startswith("..") else server.ask("/files/" + quote(place))[0]
            if asked[place] != 200:
                missing.append(f"{page.name}: {link} answers {asked[place]}")
    print(f"{len(asked)} different links asked for, {len(missing)} broken")
    assert len(asked) >= 25 and not missing, "\n".join(missing)
    assert server.ask("/files/no_such.png")[0] == 404  # the question can be answered by no


def page_config(server):
    status, page = server.ask("/lab")
    assert status == 200
    (config,) = re.findall(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page.decode(), re.DOTALL)
    return json.loads(config)


def test_the_style_is_loaded(server):
    (ours,) = (found for found in page_config(server)["federated_extensions"] if found["name"] == "ncsn-edu")
    for file in (ours["load"], "static/style.css"):
        assert server.ask(f"/lab/extensions/ncsn-edu/{file}")[0] == 200


def test_nobody_is_asked_about_news_and_only_teachers_see_nbgraders_menus(server):
    status, answer = server.ask("/lab/api/settings/@jupyterlab/apputils-extension:notification")
    assert status == 200
    properties = json.loads(answer)["schema"]["properties"]
    assert properties["fetchNews"]["default"] == "false" and properties["checkForUpdates"]["default"] is False
    assert ("@jupyter/nbgrader" in page_config(server)["disabledExtensions"]) == server.learner
