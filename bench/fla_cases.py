#!/usr/bin/env python3
"""The cases of flash-linear-attention on a GPU, as the table of docs/compat.md.

    LATHE_FLA_DEVICE=cuda LATHE_FLA_REPORT=report.json python tests/python/test_fla.py Cases
    python bench/fla_cases.py report.json [more.json ...]       # prints the table
    python bench/fla_cases.py report.json --json bench/results/fla_cases.json --commit COMMIT

A report has, for each case and result, its error (the RMS of the difference over that of what is
expected) and the limit that flash-linear-attention's own test sets.
"""

import argparse
import datetime
import json
import pathlib

FORWARD = {"o", "ht"}


def rows(cases):
    """For each operator: how many cases, the largest errors, and how near to a limit."""
    found = {}
    for case, results in cases.items():
        row = found.setdefault(case.split()[0], {"cases": 0, "o": 0, "ht": 0, "d": 0, "share": 0})
        row["cases"] += 1
        for name, (error, limit) in results.items():
            kind = name if name in FORWARD else "d"
            row[kind] = max(row[kind], error)
            row["share"] = max(row["share"], error / limit)
    return dict(sorted(found.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reports", nargs="+", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path, help="where all errors go as well")
    parser.add_argument("--commit")
    parser.add_argument("--machine", default="NVIDIA H200")
    options = parser.parse_args()
    cases = {}
    for path in options.reports:
        report = json.loads(path.read_text())
        cases |= report.get("cases", report)
    print("| operator | cases | o | state | gradients | of the limit |")
    print("|---|---|---|---|---|---|")
    for name, row in rows(cases).items():
        gradients = f"{row['d']:.1e}" if row["d"] else "none there"
        print(
            f"| `{name}` | {row['cases']} | {row['o']:.1e} | {row['ht']:.1e} | {gradients} | "
            f"{row['share']:.2f} |"
        )
    if options.json:
        about = {
            "machine": options.machine,
            "commit": options.commit,
            "date": datetime.date.today().isoformat(),
            "command": "LATHE_FLA_DEVICE=cuda python tests/python/test_fla.py Cases",
        }
        lines = [f"  {json.dumps(name)}: {json.dumps(value)}," for name, value in about.items()]
        lines += ['  "cases": {']
        for case, results in cases.items():
            short = {n: [float(f"{e:.3g}"), limit] for n, (e, limit) in results.items()}
            lines.append(f"    {json.dumps(case)}: {json.dumps(short)},")
        lines[-1] = lines[-1].rstrip(",")
        options.json.write_text("\n".join(["{", *lines, "  }", "}"]) + "\n")


if __name__ == "__main__":
    main()
