"""Checks every `az` command of docs/aks.md with the argument parser of azure-cli itself.

Nothing is executed, and nobody needs to be signed in: the parser says whether the command exists, whether it knows
each option, and whether a required one is missing. Run: npm run aks:check
"""

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

os.environ["AZURE_CONFIG_DIR"] = tempfile.mkdtemp(prefix="aks-check-")
os.environ["AZURE_CORE_COLLECT_TELEMETRY"] = "false"
os.environ["AZURE_EXTENSION_USE_DYNAMIC_INSTALL"] = "no"

from azure.cli.core import get_default_cli  # noqa: E402

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ["aks.md", "kubernetes.md"]


def read_commands(page):
    """Yields the line, the words of each `az` command of a page, and whether a sentence names it."""
    text = (DOCS / page).read_text()
    code = re.compile(r"^ *```sh\n(.*?)^ *```", re.S | re.M)
    for block in code.finditer(text):
        line = text.count("\n", 0, block.start(1)) + 1
        joined, at = "", line
        for offset, source in enumerate(block.group(1).splitlines()):
            at = at if joined else line + offset
            joined += " " + source.strip()
            if joined.endswith("\\"):
                joined = joined[:-1]
                continue
            for words in commands_in(joined):
                yield at, words, False
            joined = ""
    # Sentences name commands in backticks, and may leave required options out.
    prose = code.sub(lambda block: "\n" * block.group(0).count("\n"), text)
    for inline in re.finditer(r"`(az [^`]+)`", prose):
        for words in commands_in(inline.group(1)):
            yield prose.count("\n", 0, inline.start()) + 1, words, True


def commands_in(line):
    """Returns the words of the az commands in a line of shell, those inside of $(…) first."""
    found = []
    inner = re.compile(r"\$\(([^()]*)\)")
    while match := inner.search(line):
        found += commands_in(match.group(1))
        line = line[: match.start()] + "word" + line[match.end() :]
    line = re.sub(r"\$\{?\w+[^}\s\"]*\}|\$\w+", "word", line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    words = []
    for token in [*lexer, ";"]:
        if re.fullmatch(r"[|;&<>]+", token) or token == "do":
            if words[:1] == ["az"]:
                found.append(words[1:])
            words = []
        else:
            words.append(token)
    return found


class Reference:
    """The commands of azure-cli."""

    def __init__(self):
        self.cli = get_default_cli()

    def fault_of(self, words, is_partial=False):
        """Returns what is wrong with a command; None if it is right. A partial one may lack required options."""
        cli = self.cli
        invocation = cli.invocation_cls(
            cli_ctx=cli,
            parser_cls=cli.parser_cls,
            commands_loader_cls=cli.commands_loader_cls,
            help_cls=cli.help_cls,
        )
        cli.invocation = invocation
        loader = invocation.commands_loader
        loader.load_command_table(words)
        counts = range(len(words), 0, -1)
        name = next((n for n in (" ".join(words[:c]) for c in counts) if n in loader.command_table), None)
        if name is None:
            return "no such command"
        invocation.data["command_string"] = name
        loader.command_name = name
        loader.load_arguments(name)
        invocation.parser.load_command_table(loader)
        errors = io.StringIO()
        try:
            with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(errors):
                invocation.parser.parse_args(words)
        except (SystemExit, Exception) as error:  # noqa: BLE001
            fault = (errors.getvalue() or str(error)).strip().split("\n")[0]
            missing = re.findall(r"--[\w-]+", fault) if "are required:" in fault else []
            if is_partial and missing:
                return self.fault_of([*words, *(part for option in missing for part in (option, "x"))])
            return fault
        return None


def main():
    # Files that the parser reads while it parses.
    os.chdir(os.environ["AZURE_CONFIG_DIR"])
    Path("certificate.pfx").write_bytes(b"certificate")
    reference = Reference()
    faults, count = [], 0
    for page in PAGES:
        for line, words, is_partial in read_commands(page):
            count += 1
            fault = reference.fault_of(words, is_partial)
            if "--verbose" in sys.argv:
                print(f"{page}:{line}: az {' '.join(words)}")
            if fault:
                faults.append(f"docs/{page}: line {line}: az {' '.join(words)}: {fault}")
    show = ["aks", "show", "--name", "x"]
    broken = [(["aks", "creat"], True), (show, False), ([*show, "--nodes", "3"], True)]
    for words, is_partial in broken:
        if reference.fault_of(words, is_partial) is None:
            faults.append(f"the check is blind: it accepts az {' '.join(words)}")
    for fault in faults:
        print(fault, file=sys.stderr)
    if count == 0:
        sys.exit("Expected commands in the pages; there are none.")
    print(f"{count} az commands checked, {len(faults)} wrong")
    sys.exit(1 if faults else 0)


main()
