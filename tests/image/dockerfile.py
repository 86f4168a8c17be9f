"""Reads the Dockerfile into its stages: the instructions that it uses, no others (an unknown one is an error, so that
nothing is skipped in silence)."""
import json
import re

INSTRUCTIONS = {"FROM", "ENV", "WORKDIR", "COPY", "RUN", "LABEL", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK",
                "STOPSIGNAL", "ENTRYPOINT"}


class Stage:
    def __init__(self, name, parent):
        self.name, self.parent = name, parent
        self.steps = []  # (instruction, text)


def read(path):
    """name -> Stage, in the file's order. A parent is another stage or an image's name."""
    text = re.sub(r"(?m)^\s*#.*\n", "", path.read_text())
    text = text.replace("\\\n", " ")
    stages = {}
    for line in filter(str.strip, text.splitlines()):
        instruction, rest = line.split(None, 1)
        if instruction not in INSTRUCTIONS or "<<" in rest:
            raise SystemExit(f"{path}: {line.strip()!r} is not understood here: teach {__file__}")
        if instruction == "FROM":
            parent, _, name = rest.split()
            stage = stages[name] = Stage(name, parent)
        else:
            stage.steps.append((instruction, rest.strip()))
    return stages


def expand(text, variables):
    return re.sub(r"\$\{?(\w+)\}?", lambda match: variables.get(match.group(1), ""), text)


class Configuration:
    """What an image remembers: of a stage and all that it is made from."""

    def __init__(self, parent=None):
        self.environment = dict(parent.environment) if parent else {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        self.folder = parent.folder if parent else "/"
        self.user = parent.user if parent else "0:0"
        self.entrypoint = parent.entrypoint if parent else []
        self.health_check = parent.health_check if parent else []

    def apply(self, instruction, text):
        if instruction == "ENV":
            for name, value in re.findall(r"(\w+)=(\S+)", text):
                self.environment[name] = expand(value, self.environment)
        elif instruction == "WORKDIR":
            self.folder = expand(text, self.environment)
        elif instruction == "USER":
            self.user = text
        elif instruction == "ENTRYPOINT":
            self.entrypoint = json.loads(text)
        elif instruction == "HEALTHCHECK":
            self.health_check = json.loads(text[text.index("CMD") + 3:])
