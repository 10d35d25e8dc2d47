#!/usr/bin/env python3
"""The house style as tests: each subcommand checks one rule and prints file:line: what is wrong.

Exit status: 0 clean, 1 something to repair, 77 skipped because a tool is missing (CTest's word).
"""

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

import tidy
from sources import CXX, HEADERS, ROOT, needs_mlir, sources, tracked

SKIPPED = 77
MAX_COLUMNS = 100
MAX_LINES = 400
# Written in pieces, so that this file passes its own check.
FORBIDDEN = re.compile("TO" "DO|FIX" "ME|\\bX" "XX\\b|HA" "CK|not (yet )?" "implemented")


def report(problems, rule):
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} in all. The rule: {rule}")
    return 1 if problems else 0


def skip_without(*tools):
    for tool in tools:
        if not shutil.which(tool):
            print(f"SKIPPED: {tool} is not installed (./dev build installs it)")
            sys.exit(SKIPPED)


def check_format(arguments):
    skip_without("clang-format-19")
    command = ["clang-format-19", "--style=file"]
    command += ["-i"] if arguments.fix else ["--dry-run", "-Werror"]
    files = sources(CXX)

    def run(path):
        return subprocess.run([*command, path], capture_output=True, text=True, check=False)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [
            f"{path.relative_to(ROOT)}: {done.stderr.splitlines()[0] if done.stderr else 'failed'}"
            for path, done in zip(files, pool.map(run, files))
            if done.returncode
        ]
    return report(problems, "clang-format-19 with .clang-format; ./dev format repairs it")


def check_layout(_):
    problems = []
    for path in sources():
        lines = path.read_text().splitlines()
        name = path.relative_to(ROOT)
        problems += [
            f"{name}:{number}: {len(line)} columns"
            for number, line in enumerate(lines, 1)
            if len(line) > MAX_COLUMNS
        ]
        if path.suffix in CXX | {".td"} and len(lines) > MAX_LINES:
            problems.append(f"{name}: {len(lines)} lines")
        if path.suffix in HEADERS and "#pragma once" not in lines:
            problems.append(f"{name}: no #pragma once")
    return report(problems, f"{MAX_COLUMNS} columns, {MAX_LINES} lines, one idea a file")


def check_words(_):
    problems = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        problems += [
            f"{path.relative_to(ROOT)}:{number}: {found.group()}"
            for number, line in enumerate(text.splitlines(), 1)
            if (found := FORBIDDEN.search(line))
        ]
    return report(problems, "what is in the tree is done; what is not belongs to the issue tracker")


def check_headers(_):
    skip_without("g++")
    # What tests include for themselves may need the definitions of their targets.
    headers = [
        path
        for path in sources(HEADERS)
        if not (is_device(path) or needs_mlir(path) or path.is_relative_to(ROOT / "tests"))
    ]
    flags = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]
    folders = [f"-I{ROOT}", f"-I{ROOT}/runtime/include", "-isystem/usr/lib/llvm-19/include"]

    def compile_alone(header):
        unit = f'#include "{header.relative_to(ROOT)}"\n'
        command = ["g++", *flags, *folders, "-x", "c++", "-"]
        return subprocess.run(command, input=unit, capture_output=True, text=True, check=False)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [
            f"{header.relative_to(ROOT)} does not compile alone:\n{run.stderr}"
            for header, run in zip(headers, pool.map(compile_alone, headers))
            if run.returncode
        ]
    print(f"{len(headers)} headers compiled alone")
    return report(problems, "a header includes what it needs")


def is_device(path):
    """Kernel templates are for NVRTC, whose own tests compile them."""
    return path.is_relative_to(ROOT / "templates")


def check_tidy(arguments):
    skip_without("clang-tidy-19")
    return report(tidy.run(arguments.build, arguments.all), "clang-tidy-19 with .clang-tidy")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)

    def command(name, run, text):
        added = commands.add_parser(name, help=text)
        added.set_defaults(run=run)
        return added

    command("format", check_format, "clang-format has nothing to change").add_argument(
        "--fix", action="store_true", help="change it"
    )
    command("layout", check_layout, "line length, file length, #pragma once")
    command("words", check_words, "no word that marks unfinished work")
    command("headers", check_headers, "every header without MLIR compiles alone")
    added = command("tidy", check_tidy, "clang-tidy on the sources without MLIR, and one with")
    added.add_argument("--build", required=True, help="the folder of compile_commands.json")
    added.add_argument("--all", action="store_true", help="all sources with MLIR and all tests too")
    arguments = parser.parse_args()
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
