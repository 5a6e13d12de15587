"""The sanitizers of the programs: how such programs are started, and their reports."""
import os
import pathlib
import re
import subprocess

SUPPRESSIONS = pathlib.Path(__file__).resolve().parents[1] / "support/tsan.supp"
REPORT = re.compile(r"^.*(?:(?:ERROR|WARNING): (?:Address|Thread|Leak|UndefinedBehavior)Sanitizer|: runtime error: ).*$", re.M)
LINES = 40  # of a report that are shown

# As in ./dev check. Our library is preloaded before AddressSanitizer, which refuses this by default.
OPTIONS = {
    b"libasan.so": {"ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:verify_asan_link_order=0",
                    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"},
    b"libtsan.so": {"TSAN_OPTIONS": f"halt_on_error=1:second_deadlock_stack=1:suppressions={SUPPRESSIONS}"},
}


class Sanitizers:
    """The sanitizers of that program, found by the names of its libraries."""

    def __init__(self, program):
        content = pathlib.Path(program).read_bytes()
        self.environment = next((options for library, options in OPTIONS.items() if library in content), {})
        self.prefix = []
        # The sanitizers of g++ 12 need less address-space randomization than new kernels use.
        if self.environment and subprocess.run(["setarch", "-R", "true"], capture_output=True, check=False).returncode == 0:
            self.prefix = ["setarch", "-R"]

    @staticmethod
    def reports(log):
        """The first report in the log of each life of a program, with the lines after it."""
        text = pathlib.Path(log).read_text(encoding="utf-8", errors="replace")
        found = []
        for life in re.split(r"^(?=---- life )", text, flags=re.M):
            if match := REPORT.search(life):
                found.append(os.linesep.join(life[match.start():].splitlines()[:LINES]))
        return found
