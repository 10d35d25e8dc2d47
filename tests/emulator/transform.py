"""Turns the CUDA C++ of a generated kernel into C++ for this machine.

Each `asm` statement becomes a call of the function in Ptx.h that is named after its instruction,
with the operands in their order. Reads a preprocessed kernel, writes the C++.
"""
import re
import sys


def matching(text, begin):
    """The index behind the parenthesis that closes the one at `begin`."""
    depth, index = 0, begin
    while True:
        if text[index] == '"':
            index = text.index('"', index + 1)
            while text[index - 1] == "\\":
                index = text.index('"', index + 1)
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(text[index], 0)
        index += 1
        if depth == 0:
            return index


def split(text, separator):
    """Parts of `text` between separators that stand in no parentheses and no string."""
    parts, depth, begin, index = [], 0, 0, 0
    while index < len(text):
        if text[index] == '"':
            index = text.index('"', index + 1)
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(text[index], 0)
        # A colon of a scope (a::b) or of a choice (a ? b : c) lies within an operand's parentheses.
        if text[index] == separator and depth == 0:
            parts.append(text[begin:index])
            begin = index + 1
        index += 1
    return parts + [text[begin:]]


def instruction(template):
    """The name of the one instruction that is neither a declaration nor about a predicate."""
    for line in re.split(r"[;\n{}]|\\n", template):
        words = line.split()
        if words and not words[0].startswith((".", "%", "setp", "selp", "[", "@", ",")):
            name = re.sub(r"[^A-Za-z0-9]+", "_", words[0])
            # What wgmma does stands in its last operands.
            if name.startswith("wgmma_mma"):
                end = template.rindex(";")
                begin = template.rindex("}", 0, end)
                last = re.findall(r"%?\w+", template[begin:end])
                name += "".join("_x" if word.startswith("%") else "_" + word for word in last)
            return name
    return ""


def call(statement):
    sections = split(statement, ":")
    template = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', sections[0]))
    operands = []
    for section in sections[1:3]:
        for operand in split(section, ","):
            found = re.match(r'\s*"[^"]*"\s*\((.*)\)\s*$', operand, re.S)
            if found:
                operands.append(found.group(1))
    name = instruction(template)
    return f"::ptx::{name}({', '.join(operands)})" if name else "(void)0"


def transform(text):
    parts, end = [], 0
    for found in re.finditer(r"\basm\s*(?:volatile\s*)?\(", text):
        begin, close = found.start(), matching(text, found.end() - 1)
        parts += [text[end:begin], call(text[found.end():close - 1])]
        end = close
    text = "".join(parts) + text[end:]
    text = re.sub(r"extern\s+__shared__[^;]*shared\s*\[\s*\]\s*;",
                  "char* const shared = ::emulator::sharedMemory();", text)
    entry = re.search(r"(\w+)\s*\(\s*const\s+__grid_constant__", text).group(1)
    return (f'#include "tests/emulator/Device.h"\n{text}\n'
            f'extern "C" void {entry}_emulated(const void* args) {{\n'
            f"  {entry}(*static_cast<const lathe::Args*>(args));\n}}\n")


if __name__ == "__main__":
    sys.stdout.write(transform(sys.stdin.read()))
