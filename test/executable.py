"""Prints the path of the Python that runs it."""

import sys

print(sys.executable)
