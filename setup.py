"""What pyproject.toml cannot say: a built package has the notebooks in it, as `ncsn-edu lab` copies them."""

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from ncsn_edu.workcopy import bundle  # noqa: E402 (it needs Python's own library alone)


class WithNotebooks(build_py):
    """Copies the package, and then the notebooks and what they link to into ncsn_edu/project."""

    def run(self) -> None:
        """Build; an editable installation has the project itself."""
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib) / "ncsn_edu" / "project"
            shutil.rmtree(folder, ignore_errors=True)
            bundle(ROOT / "notebooks", folder)


setup(cmdclass={"build_py": WithNotebooks})
