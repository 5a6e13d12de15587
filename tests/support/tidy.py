#!/usr/bin/env python3
"""Runs clang-tidy on our sources; without FOLDER on all of them.

  ./dev check tidy
  tests/support/tidy.py coordinator/core common

Nearly all of the time of a run for one source goes into the headers that it includes. So sources that are compiled
alike are checked together, up to ten in a run. If such a run finds anything, it is repeated for each of its sources
alone, and what these runs find counts: names of two files may clash.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("bench", "cli", "common", "coordinator", "edge-agent", "tests")  # generated sources are in build/
MOST_TOGETHER = 10
# clang reads the commands made for g++: it does not support all of its warnings, nor its precompiled headers, and it
# warns about uses of deprecated functions within libstdc++.
COMMAND = ("clang-tidy-19", "-quiet", "-extra-arg=-Wno-unknown-warning-option", "-extra-arg=-Wno-ignored-gch",
           "-extra-arg=-Wno-ignored-optimization-argument", "-extra-arg=-Wno-deprecated-declarations")
TOGETHER = (f"-config-file={ROOT}/.clang-tidy", "-checks=-bugprone-suspicious-include,-clang-diagnostic-shadow",
            f"-header-filter=^{ROOT}/({'|'.join(FOLDERS)})/")
# What a file defines at the start of a line, except for macros such as TEST_CASE.
DEFINED = re.compile(r"^(?:(?:struct|class|enum|enum class|using|concept) (\w+)|"
                     r"\w[\w:<>,&*\[\] ]*?[ &*](\w*[a-z]\w*)(?:[({;\[]| =))", re.MULTILINE)


def alike(entry):
    """The words of its command except for the names of the source and of the output."""
    words = shlex.split(entry["command"])
    for name in ("-o", "-c"):
        at = words.index(name)
        del words[at:at + 2]
    return tuple(words)


def batches(sources):
    """Groups of sources that are compiled alike, and that do not define the same name as far as we see."""
    made = collections.defaultdict(list)
    for source, entry in sorted(sources.items()):
        names = {type_name or other for type_name, other in DEFINED.findall(source.read_text())} - {"namespace"}
        groups = made[alike(entry)]
        for group, taken in groups:
            if len(group) < MOST_TOGETHER and not names & taken:
                group.append(source)
                taken |= names
                break
        else:
            groups.append(([source], names))
    found = [(words, group) for words, groups in made.items() for group, _ in groups]
    return sorted(found, key=lambda one: len(one[1]), reverse=True)


def run(*options):
    done = subprocess.run([*COMMAND, *options], cwd=ROOT, check=False, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def run_alone(build, source):
    good, said = run(f"-p={build}", source)
    return [] if good else [said]


def run_batch(build, directory, folder, words, group):
    """The output of each failed run."""
    if len(group) > 1:
        folder.mkdir()
        together = folder / "together.cpp"
        together.write_text("".join(f'#include "{source}"\n' for source in group))
        entry = {"directory": directory, "file": str(together), "arguments": [*words, "-c", str(together)]}
        (folder / "compile_commands.json").write_text(json.dumps([entry]))
        if run(*TOGETHER, f"-p={folder}", together)[0]:
            return []
    return [said for source in group for said in run_alone(build, source)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("folders", metavar="FOLDER", nargs="*", default=FOLDERS)
    options = parser.parse_args()
    database = json.loads((options.build / "compile_commands.json").read_text())
    wanted = [ROOT / folder for folder in options.folders]
    sources = {pathlib.Path(entry["file"]): entry for entry in database
               if any(pathlib.Path(entry["file"]).is_relative_to(folder) for folder in wanted)}
    if not sources:
        sys.exit(f"{options.build}/compile_commands.json has no source of {', '.join(options.folders)}")
    failed = False
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = [pool.submit(run_batch, options.build, sources[group[0]]["directory"],
                            pathlib.Path(scratch, str(number)), words, group)
                for number, (words, group) in enumerate(batches(sources))]
        for number, one in enumerate(concurrent.futures.as_completed(runs), 1):
            for said in one.result():
                failed = True
                print(said)
            print(f"[{number}/{len(runs)}] [clang-tidy]", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
