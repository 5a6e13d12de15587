#!/usr/bin/env python3
"""Compiles each source of a folder again and fails if the compiler needs too much memory for one of them.

  ./dev check memory                   common/http_server, at most 600 MB for each: a Pi with 1 GB can build it
"""
import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def commands(build, folder):
    database = json.loads((build / "compile_commands.json").read_text())
    return [entry for entry in database if pathlib.Path(entry["file"]).is_relative_to(ROOT / folder)]


def compiler_command(entry, output):
    """The command without ccache, which would not run the compiler, and with an output file of its own."""
    words = shlex.split(entry["command"])
    if pathlib.Path(words[0]).name == "ccache":
        words = words[1:]
    words[words.index("-o") + 1] = output
    return words


def peak_mb(entry):
    """Peak memory of the compiler's largest process. It runs in a helper process that has no other children."""
    with tempfile.TemporaryDirectory() as folder:
        command = compiler_command(entry, os.path.join(folder, "unit.o"))
        measured = ("import resource, subprocess, sys\n"
                    "code = subprocess.run(sys.argv[1:]).returncode\n"
                    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
                    "sys.exit(code)")
        done = subprocess.run([sys.executable, "-c", measured, *command], cwd=entry["directory"], check=False,
                              capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"{entry['file']} does not compile:\n{done.stderr}")
    return int(done.stdout.split()[-1]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--folder", default="common/http_server")
    parser.add_argument("--most-mb", type=float, default=600)
    options = parser.parse_args()
    entries = commands(options.build, options.folder)
    if not entries:
        sys.exit(f"{options.build}/compile_commands.json has no source of {options.folder}")
    found = {os.path.relpath(entry["file"], ROOT): peak_mb(entry) for entry in entries}
    for name, megabytes in sorted(found.items(), key=lambda item: -item[1]):
        print(f"{megabytes:7.0f} MB  {name}")
    too_much = [name for name, megabytes in found.items() if megabytes > options.most_mb]
    if too_much:
        sys.exit(f"more than {options.most_mb:.0f} MB: {', '.join(sorted(too_much))}")


if __name__ == "__main__":
    main()
