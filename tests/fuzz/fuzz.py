#!/usr/bin/env python3
"""Runs the fuzzers of build/fuzz one after the other (JOBS=N: N at a time) and reports the result of each.

Each begins with the inputs that earlier runs have collected (build/fuzz/corpus) and with the seeds (tests/fuzz/corpus).
An input that violates a rule is kept in build/fuzz/findings; the exit code is 1 if there is one.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "fuzz"
BUILD = ROOT / "build" / "fuzz"
MOST_BYTES = 8192  # of an input: enough for all that is read, small enough for speed
MOST_ADDED, MOST_ADDED_BYTES = 64, 512  # seeds of one fuzzer in the repository that no person wrote; bytes of each
# The others: json.dict
DICTIONARIES = {"settings": "toml.dict", "http_server": "http.dict", "topics": None, "line_reader": None, "pki": None}
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def targets():
    return sorted(path.name.removeprefix("fuzz_") for path in (BUILD / "fuzzers").glob("fuzz_*"))


def environment():
    """The environment, without variables that would be settings of an agent."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("EDGEFLEET_")}
    return kept | ENVIRONMENT


def folders(target):
    """The growing corpus, and the seeds."""
    grown = BUILD / "corpus" / target
    grown.mkdir(parents=True, exist_ok=True)
    seeds = HERE / "corpus" / target
    return [str(folder) for folder in (grown, seeds) if folder.is_dir()]


def fuzz(target, seconds):
    """The line to print, and the output if something was found."""
    findings = BUILD / "findings"
    findings.mkdir(exist_ok=True)
    command = [str(BUILD / "fuzzers" / f"fuzz_{target}"), f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}",
               "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={findings}/{target}-"]
    dictionary = DICTIONARIES.get(target, "json.dict")
    if dictionary:
        command.append(f"-dict={HERE / dictionary}")
    done = subprocess.run(command + folders(target), env=environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + 300, check=False)
    output = done.stdout.decode(errors="replace")
    state = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", output)
    runs = re.search(r"stat::number_of_executed_units: (\d+)", output)
    speed = re.search(r"stat::average_exec_per_sec: *(\d+)", output)
    edges, features, corpus = state[-1] if state else ("?", "?", "?")
    line = (f"{target:15} {runs[1] if runs else '?':>10} runs {speed[1] if speed else '?':>7}/s "
            f"{edges:>6} edges {features:>6} features {corpus:>5} inputs")
    return line, "" if done.returncode == 0 else output


def told(target, output):
    """The output from the first error on, with the positions in the sources."""
    lines = output.splitlines()
    begin = next((i for i, line in enumerate(lines)
                  if re.search(r"ERROR: |runtime error|rule violated|Assertion|terminate called", line)), 0)
    return "\n".join(with_source(target, line) for line in lines[begin:begin + 60])


def with_source(target, line):
    frame = re.match(rf" *#\d+ 0x[0-9a-f]+ +\(.*/fuzz_{target}\+(0x[0-9a-f]+)\)", line)
    if not frame:
        return line
    place = subprocess.run(["addr2line", "-Cfpse", str(BUILD / "fuzzers" / f"fuzz_{target}"), frame[1]],
                           stdout=subprocess.PIPE, check=False).stdout.decode().strip()
    return f"{line.split('(')[0]} {place[:160]}"


def merge(target):
    """Reduces the seeds: keeps those written by hand (seed*, regression*), and inputs that reach more code."""
    seeds = HERE / "corpus" / target
    seeds.mkdir(parents=True, exist_ok=True)
    kept = [path for path in seeds.iterdir() if path.name.startswith(("seed", "regression"))]
    with tempfile.TemporaryDirectory() as by_hand, tempfile.TemporaryDirectory() as smallest:
        for path in kept:
            shutil.copy(path, by_hand)
        # The folder already has the written seeds, so only inputs that reach more code are added.
        shutil.copytree(by_hand, smallest, dirs_exist_ok=True)
        subprocess.run([str(BUILD / "fuzzers" / f"fuzz_{target}"), "-set_cover_merge=1", "-use_counters=0",
                        f"-max_len={MOST_BYTES}", smallest, *folders(target)], env=environment(),
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        for path in set(seeds.iterdir()) - set(kept):
            path.unlink()
        added = sorted((path for path in pathlib.Path(smallest).iterdir() if not (seeds / path.name).exists()),
                       key=lambda path: (path.stat().st_size, path.name))
        for path in added[::1 + len(added) // MOST_ADDED]:  # of all sizes
            if path.stat().st_size <= MOST_ADDED_BYTES:
                shutil.copy(path, seeds / path.name[:12])
    print(f"{target:15} {sum(1 for _ in seeds.iterdir()):4} seeds, "
          f"{sum(path.stat().st_size for path in seeds.iterdir()):6} bytes", flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each fuzzer (default: 60)")
    parser.add_argument("--merge", action="store_true", help="do not fuzz: add the collected inputs to the seeds, as "
                                                             "few and as small as possible")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(targets())}; default: all")
    options = parser.parse_args()
    unknown = set(options.targets) - set(targets())
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(targets())}")
    if options.seconds < 1:
        parser.error("--seconds must be at least 1")
    return options


def main():
    options = arguments()
    wanted = options.targets or targets()
    if options.merge:
        for target in wanted:
            merge(target)
        return 0
    found = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, int(os.environ.get("JOBS") or 1))) as pool:
        for target, (line, output) in zip(wanted, pool.map(lambda t: fuzz(t, options.seconds), wanted)):
            print(line, flush=True)
            if output:
                found.append(target)
                print(told(target, output), flush=True)
    if found:
        print(f"something was found by {', '.join(found)}; the inputs lie in {BUILD / 'findings'}, and\n"
              "build/fuzz/fuzzers/fuzz_TARGET INPUT runs one again", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
