"""Runs the reference's application under gunicorn: serve.py PORT WORKERS"""

import os
import sys
from pathlib import Path

port, workers = sys.argv[1:3]
os.chdir(Path(__file__).resolve().parent)
gunicorn = ["--preload", "--workers", workers, "--bind", f"127.0.0.1:{port}", "--log-level", "warning", "app:app"]
os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *gunicorn])
