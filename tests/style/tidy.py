"""Runs clang-tidy over compile_commands.json, and remembers which sources were clean.

A source is looked at again when it, a header of the project, or .clang-tidy has changed.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import sys

from sources import ROOT, includes, needs_mlir


def run(build, everything):
    """Returns the problems found, one text for each source that has some."""
    build = pathlib.Path(build).resolve()
    units = choose(build, everything)
    clean = build / "tidy"
    clean.mkdir(exist_ok=True)
    stamps = {unit: clean / digest(unit) for unit in units}
    todo = [unit for unit in units if not stamps[unit].exists()]
    print(f"{len(units)} sources, {len(units) - len(todo)} unchanged since they were clean")
    sys.stdout.flush()

    def check(unit):
        # Options of the compiler at hand, which clang may not know, and what its library
        # deprecates in itself.
        foreign = ["unknown-warning-option", "deprecated-declarations"]
        foreign = [f"--extra-arg=-Wno-{warning}" for warning in foreign]
        command = ["clang-tidy-19", "--quiet", *foreign, "-p", build, unit]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            stamps[unit].touch()
            return None
        return done.stdout.strip() or done.stderr.strip()

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [problem for problem in pool.map(check, todo) if problem]


def choose(build, everything):
    """Everything, or what fits into a test: no tests (GoogleTest's macros take long), and of the
    sources with MLIR, which take many times as long as the others, one."""
    commands = json.loads((build / "compile_commands.json").read_text())
    units = sorted({pathlib.Path(command["file"]) for command in commands})
    units = [unit for unit in units if unit.is_relative_to(ROOT) and not generated(unit)]
    if everything:
        return units
    units = [unit for unit in units if not unit.is_relative_to(ROOT / "tests")]
    heavy = [unit for unit in units if needs_mlir(unit)]
    return [unit for unit in units if unit not in heavy] + heavy[:1]


def generated(unit):
    return unit.is_relative_to(ROOT / "build") or not unit.is_file()


def digest(unit):
    """Of the source, the headers of the project that it reaches, and the rules."""
    state = hashlib.sha256()
    folders = (ROOT, ROOT / "runtime/include", unit.parent)
    headers = [folder / name for name in sorted(includes(unit)) for folder in folders]
    for path in [ROOT / ".clang-tidy", unit, *(path for path in headers if path.is_file())]:
        state.update(f"{path}\0".encode())
        state.update(path.read_bytes())
    return state.hexdigest()
