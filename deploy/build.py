"""Makes dist/: sdist, wheel, zipapp and one-file executable, all of the same wheel. `make dist` runs it.

It must run in an environment that holds requirements-dist.lock and nothing else, which the executable is made of.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
WORK = ROOT / ".build" / "packing"
#: Every Python that gochat runs on. The zipapp has the compiled parts of the packages for all of them.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")

#: The zipapp runs this before it imports a package.
CHECK = """\
import sys
if "%d.%d" % sys.version_info[:2] not in "{0}":
    sys.exit("gochat: this file needs Python {0}, and this is %d.%d" % sys.version_info[:2])
"""


def main() -> None:
    for folder in (DIST, WORK):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    environment = os.environ | {"SOURCE_DATE_EPOCH": committed_at(), "PYTHONHASHSEED": "1"}
    python("-m", "hatchling", "build", "--directory", str(DIST), env=environment, folder=ROOT)
    (wheel,) = DIST.glob("*.whl")
    executable(wheel, environment)
    zipapp(wheel, environment)
    for file in sorted(DIST.iterdir()):
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size / 1e6:.1f} MB")


def committed_at() -> str:
    """The time that files inside carry, so that the same commit gives the same files: that of the commit."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "1735689600"  # an unpacked sdist: 2025-01-01


def executable(wheel: Path, env: dict[str, str]) -> None:
    pip("install", "--no-deps", "--force-reinstall", str(wheel), env=env)
    python(
        "-m",
        "PyInstaller",
        "--noconfirm",
        "--clean",
        "--log-level",
        "WARN",
        "--distpath",
        str(DIST),
        "--workpath",
        str(WORK / "pyinstaller"),
        str(ROOT / "deploy" / "gochat.spec"),
        env=env,
    )


def zipapp(wheel: Path, env: dict[str, str]) -> None:
    packages = WORK / "packages"
    pip("install", "--no-deps", "--no-compile", "--target", str(packages), str(wheel), env=env)
    for version in PYTHONS:
        # Files of pure Python are the same for each, and names of compiled ones say which Python they are for.
        folder = WORK / version
        pip(
            "install",
            "--target",
            str(folder),
            "--python-version",
            version,
            "--only-binary",
            ":all:",
            "--no-compile",
            "--require-hashes",
            "--requirement",
            str(ROOT / "requirements.lock"),
            env=env,
        )
        shutil.copytree(folder, packages, dirs_exist_ok=True)
    first = WORK / "first.py"
    first.write_text(CHECK.format(", ".join(PYTHONS)), encoding="ascii")
    python(
        "-m",
        "shiv",
        "--site-packages",
        str(packages),
        "--console-script",
        "gochat",
        "--preamble",
        str(first),
        "--reproducible",
        "--python",
        "/usr/bin/env python3",
        "--output-file",
        str(DIST / "gochat.pyz"),
        env=env,
    )


def pip(*arguments: str, env: dict[str, str]) -> None:
    python("-m", "pip", "--disable-pip-version-check", "--quiet", *arguments, env=env)


def python(*arguments: str, env: dict[str, str], folder: Path = WORK) -> None:
    """Outside the checkout, unless it is the checkout that is built: `python -m` imports from the current folder."""
    subprocess.run([sys.executable, *arguments], cwd=folder, env=env, check=True)


if __name__ == "__main__":
    main()
