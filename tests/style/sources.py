"""Which files the style checks look at, and which of them include MLIR."""

import functools
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADERS = {".h", ".hpp"}
CXX = HEADERS | {".c", ".cpp", ".cu", ".cuh"}
SOURCES = CXX | {".td", ".py", ".sh", ".txt", ".cmake"}
UNTRACKED = {".git", ".venv", "build", "__pycache__"}
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.MULTILINE)
# LLVM's headers beyond these take as long to read as MLIR's, and so count as MLIR.
LIGHT_LLVM = ("llvm/Support/", "llvm/ADT/", "llvm/Config/")


def tracked():
    """Every file that git knows; in an unpacked archive, every file that is not built."""
    git = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if git.returncode == 0:
        names = filter(None, git.stdout.split("\0"))
        return sorted(path for path in map(ROOT.joinpath, names) if path.is_file())
    return sorted(
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not UNTRACKED.intersection(path.relative_to(ROOT).parts)
    )


def is_source(path):
    """A source, or a script without a suffix (dev, .ci/run)."""
    if path.suffix:
        return path.suffix in SOURCES
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def sources(suffixes=None):
    if suffixes:
        return [path for path in tracked() if path.suffix in suffixes]
    return list(filter(is_source, tracked()))


@functools.cache
def includes(path):
    """The headers of the project and of others that a file reaches, as they are written."""
    reached, queue = set(), [path]
    while queue:
        for name in INCLUDE.findall(queue.pop().read_text(errors="replace")):
            if name in reached:
                continue
            reached.add(name)
            for folder in (ROOT, ROOT / "runtime/include", path.parent):
                if (folder / name).is_file():
                    queue.append(folder / name)
                    break
    return frozenset(reached)


def needs_mlir(path):
    """Whether a file includes MLIR, or a header that TableGen writes for it."""
    return any(
        name.startswith(("mlir/", "mlir-c/"))
        or name.endswith(".inc")
        or (name.startswith("llvm/") and not name.startswith(LIGHT_LLVM))
        for name in includes(path)
    )
