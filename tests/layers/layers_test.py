"""Arrows between folders point one way (DESIGN.md section 2), every type has a name of its own, and every header
compiles alone.

Usage: layers_test.py SOURCE_FOLDER BUILD_FOLDER     (configured)

Our own includes are by their path from the top, so the files themselves say who sees whom; layers.txt says who may.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

source_folder, build_folder = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
failures = []


def read_table():
    """(folder -> folders it may use, [(pattern, folders that may see such headers)])"""
    allowed, headers = {}, []
    for line in (source_folder / "tests/layers/layers.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        left, right = (part.strip() for part in line.split(" :", 1))
        if left.startswith("header "):
            headers.append((re.compile(left[len("header "):].strip()), right.split()))
        else:
            allowed.setdefault(left, []).extend(right.split())
    return allowed, headers


def closure(allowed, folder, path=()):
    """What `folder` may use, directly or through others. Fails on a circle."""
    if folder in path:
        failures.append(f"layers.txt goes in a circle: {' -> '.join([*path, folder])}")
        return set()
    found = {folder}
    for next_folder in allowed.get(folder, []):
        found |= closure(allowed, next_folder, (*path, folder))
    return found


def folder_of(file, folders):
    """The listed folder that holds `file`, or its own folder below server/ or client/ when none does."""
    name = str(file.relative_to(source_folder))
    holding = [folder for folder in folders if name.startswith(folder + "/")]
    return max(holding, key=len) if holding else os.path.dirname(name)


def includes_of(file):
    return re.findall(r'^\s*#\s*include\s+["<]([^">]+)[">]', file.read_text(), re.MULTILINE)


def read_includes():
    """file of server/ or client/ -> (our files, names of others) that it includes, directly or through ours."""
    direct = {}
    for top in ("server", "client"):
        for file in [*(source_folder / top).rglob("*.cc"), *(source_folder / top).rglob("*.h")]:
            direct[file] = includes_of(file)

    def add(file, ours, others):
        for name in direct[file]:
            included = source_folder / name
            if included not in direct:
                others.add(name)
            elif included not in ours:
                ours.add(included)
                add(included, ours, others)
        return ours, others

    return {file: add(file, set(), set()) for file in direct}


def check_arrows(files, allowed, headers):
    for file, (ours, others) in files.items():
        folder = folder_of(file, allowed)
        may_use = closure(allowed, folder)
        for included in ours:
            if folder_of(included, allowed) not in may_use:
                failures.append(f"{file} includes {included}, but layers.txt has no arrow from {folder} to its folder")
        for pattern, may_see in headers:
            seen = next((name for name in others if pattern.search(name)), None)
            if seen and folder not in may_see:
                failures.append(f"{file} sees {seen}: {folder} may not see headers like {pattern.pattern}")


def types_of(file):
    """Names of the types that a file defines for all to see: not nested, not in an unnamed namespace."""
    hidden = False
    for line in file.read_text().splitlines():
        hidden = line == "namespace {" or hidden and line != "}  // namespace"
        found = re.match(r"(?:struct|class|enum class) (?:ABSL_\w+ )?(?:\w+::)*(\w+)(?: final)?(?: :.*| \{.*)?$", line)
        if found and "::" not in line.split(" : ")[0] and not hidden:
            yield found.group(1)


def check_types_have_names_of_their_own():
    """Two types of one name in one program are one to the linker, which takes either's functions for both."""
    defined = {}
    for top in ("server", "tests/support"):  # client/ is a namespace of its own
        for file in [*(source_folder / top).rglob("*.cc"), *(source_folder / top).rglob("*.h")]:
            for name in types_of(file):
                other = defined.setdefault(name, file)
                if other != file:
                    failures.append(f"{file} and {other} both define {name}")


def check_every_folder_is_listed(allowed):
    for top in ("server", "client"):
        for file in (source_folder / top).rglob("*.cc"):
            if folder_of(file, allowed) not in allowed:
                failures.append(f"{file}: its folder is not in layers.txt")


def headers_not_proven(files):
    """Headers that no unit includes first: for all others the compiler has shown that they compile alone."""
    units = [file for file in files if file.suffix == ".cc"]
    proven = {source_folder / next(iter(includes_of(unit)), "") for unit in units}
    slow = {header for header, (_, others) in files.items() if any(name.startswith("torch/") for name in others)}
    return sorted(header for header in files if header.suffix == ".h" and header not in proven | slow)


def flags_by_folder():
    """The include and language flags that units of a folder are compiled with."""
    found = {}
    for unit in json.loads((build_folder / "compile_commands.json").read_text()):
        arguments = shlex.split(unit["command"])
        start = next((i for i, argument in enumerate(arguments) if argument.endswith(("c++", "g++", "clang++"))), 0)
        flags = [arguments[start]]
        for i, argument in enumerate(arguments):
            if argument == "-isystem":
                flags += arguments[i:i + 2]
            elif argument.startswith(("-I", "-D", "-std=")):
                flags.append(argument)
        found[os.path.dirname(unit["file"])] = flags
    return found


def compiles_alone(header, flags):
    with tempfile.NamedTemporaryFile("w", suffix=".cc") as unit:
        unit.write(f'#include "{header.relative_to(source_folder)}"\n')
        unit.flush()
        result = subprocess.run([*flags, "-fsyntax-only", "-Wall", "-Wextra", unit.name], capture_output=True, text=True)
    return result.returncode == 0, result.stderr


def check_headers_compile_alone(files):
    """In a build without STOCKPOT_UNITY (the debug preset) only: in others no unit proves anything about its headers."""
    flags = flags_by_folder()
    headers = [header for header in headers_not_proven(files) if str(header.parent) in flags]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = pool.map(lambda header: compiles_alone(header, flags[str(header.parent)]), headers)
        for header, (compiles, errors) in zip(headers, verdicts):
            if not compiles:
                failures.append(f"{header} does not compile alone:\n{errors}")
    return len(headers)


def main():
    files = read_includes()
    allowed, headers = read_table()
    check_every_folder_is_listed(allowed)
    check_types_have_names_of_their_own()
    check_arrows(files, allowed, headers)
    compiled = check_headers_compile_alone(files)
    print("\n".join(failures))
    print(f"{len(files)} files, {len(allowed)} folders, {compiled} headers compiled alone: {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
