"""Adds up ctest's JUnit files and ends with one line: N passed, N failed[, N skipped]."""

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter


def outcome(case):
    """ctest's word `notrun` covers both a skip and a program that is not there."""
    status = case.get("status")
    if status == "notrun":
        reason = case.find("skipped")
        skipped = reason is not None and reason.get("message", "").startswith("SKIP_")
        return "skipped" if skipped else "failed"
    return {"run": "passed", "disabled": "skipped"}.get(status, "failed")


def main(paths):
    counts = Counter()
    for path in paths:
        try:
            cases = ElementTree.parse(path).getroot().iter("testcase")
        except (OSError, ElementTree.ParseError) as error:
            print(f"{path}: no results: {error}")
            counts["failed"] += 1
            continue
        for case in cases:
            result = outcome(case)
            counts[result] += 1
            if result != "passed":
                print(f"{result}: {case.get('name')} ({path})")
    line = f"{counts['passed']} passed, {counts['failed']} failed"
    if counts["skipped"]:
        line += f", {counts['skipped']} skipped"
    print(line)
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
