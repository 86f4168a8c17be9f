"""Arrows between folders point one way (DESIGN.md section 2), and every header compiles alone.

Usage: layers_test.py SOURCE_FOLDER BUILD_FOLDER     (a Ninja build, after it is built)

The compiler says what each unit really included, `ninja -t deps` lists it, layers.txt says what is allowed.
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


def compiler_dependencies():
    """source -> the files that the compiler read for it, for every unit of server/ and client/ that was built."""
    listed = subprocess.run(["ninja", "-C", build_folder, "-t", "deps"], check=True, capture_output=True, text=True)
    found = {}
    for block in listed.stdout.split("\n\n"):
        files = [pathlib.Path(os.path.normpath(build_folder / line.strip())) for line in block.splitlines()[1:]]
        if files and is_ours(files[0]) and files[0].exists():
            found[files[0]] = files[1:]
    return found


def is_ours(file):
    return any(file.is_relative_to(source_folder / top) for top in ("server", "client"))


def check_arrows(units, allowed, headers):
    for unit, files in units.items():
        folder = folder_of(unit, allowed)
        may_use = closure(allowed, folder)
        for file in filter(is_ours, files):
            if folder_of(file, allowed) not in may_use:
                failures.append(f"{unit} includes {file}, but layers.txt has no arrow from {folder} to its folder")
        for pattern, may_see in headers:
            seen = next((file for file in files if pattern.search(str(file))), None)
            if seen and folder not in may_see:
                failures.append(f"{unit} sees {seen}: {folder} may not see headers like {pattern.pattern}")


def check_every_folder_is_listed(allowed):
    for top in ("server", "client"):
        for file in (source_folder / top).rglob("*.cc"):
            if folder_of(file, allowed) not in allowed:
                failures.append(f"{file}: its folder is not in layers.txt")


def first_include(source):
    found = re.search(r'^#include\s+["<]([^">]+)[">]', source.read_text(), re.MULTILINE)
    return found.group(1) if found else None


def headers_not_proven(units):
    """Headers that no unit includes first: for all others the compiler has shown that they compile alone."""
    proven = {source_folder / (first_include(unit) or "") for unit in units}
    torch_users = [unit for unit, files in units.items() if any("/torch/include/" in str(file) for file in files)]
    slow = {file for unit in torch_users for file in units[unit] if is_ours(file) and file.parent == unit.parent}
    used = {file for files in units.values() for file in files if is_ours(file)}
    return sorted(used - proven - slow)


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


def check_headers_compile_alone(units):
    flags = flags_by_folder()
    headers = [header for header in headers_not_proven(units) if str(header.parent) in flags]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = pool.map(lambda header: compiles_alone(header, flags[str(header.parent)]), headers)
        for header, (compiles, errors) in zip(headers, verdicts):
            if not compiles:
                failures.append(f"{header} does not compile alone:\n{errors}")
    return len(headers)


def main():
    units = compiler_dependencies()
    if not units:
        sys.exit(f"{build_folder} holds no built unit of server/ or client/: build it with Ninja first")
    allowed, headers = read_table()
    check_every_folder_is_listed(allowed)
    check_arrows(units, allowed, headers)
    compiled = check_headers_compile_alone(units)
    print("\n".join(failures))
    print(f"{len(units)} units, {len(allowed)} folders, {compiled} headers compiled alone: {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
