"""What the exporters share as programs: their arguments, what they say, and how they end."""

import argparse
import re
import sys
from pathlib import Path

OTHERWISE = "It can be served as a Python program: docs/python.md"
# Messages of frameworks can have pages.
REASON_MAX = 300


def parse_arguments(description, *flags):
    """Returns the arguments of an exporter: FILE, MODEL.onnx and its own flags, each as (name, settings)."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("file", type=Path, help="what to export")
    parser.add_argument("onnx", type=Path, help="the ONNX file to write")
    for name, settings in flags:
        parser.add_argument(name, **settings)
    arguments = parser.parse_args()
    # Pickles can name modules that lie beside them.
    sys.path.insert(0, str(arguments.file.resolve().parent))
    return arguments


def fail(line):
    raise SystemExit(f"error: {line}")


def reason(error):
    """Returns the class of an exception and what it says, in one line."""
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    # TensorFlow and TorchScript show a stack before they say what is wrong, and XGBoost shows one behind it.
    text = re.sub(r"^in user code:.*?\n\s+\w+Error: ", "", text, flags=re.DOTALL)
    text = re.sub(r"^The following operation failed in the TorchScript interpreter.*\n(?=\S)", "", text.strip(), flags=re.DOTALL)
    text = re.sub(r"\nStack trace:.*", "", text, flags=re.DOTALL)
    return f"{type(error).__name__}: {' '.join(text.split())[:REASON_MAX].rstrip('.')}"


def run_exporter(main):
    """Runs an exporter. An exception that it does not expect is one line, too."""
    try:
        main()
    except Exception as error:
        fail(f"expected a model that can be exported; {reason(error)}. {OTHERWISE}")


def note(line):
    print(f"note: {line}")
