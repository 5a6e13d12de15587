"""The output of the demo: progress, on a terminal or not, and tables."""
import os
import shutil
import sys
import time
import unicodedata

PAUSE = 2  # seconds between two lines without a terminal


def printable(text):
    """The text without control characters and incomplete characters."""
    return "".join(c if c.isprintable() else "?" for c in str(text))


def shorten(text, most=40):
    text = printable(text)
    return text if len(text) <= most else text[:most - 13] + "..." + text[-10:]


def width(text):
    """In columns of a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def counted(number, what):
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def table(header, rows):
    """The lines of a table; columns of numbers are aligned to the right."""
    texts = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(width, column)) for column in zip(*texts)]
    numeric = [all(isinstance(cell, int) for cell in column) for column in zip(*rows)]

    def line(cells):
        padded = (" " * (w - width(c)) + c if right else c + " " * (w - width(c))
                  for c, w, right in zip(cells, widths, numeric))
        return "  ".join(padded).rstrip()
    return [line(cells) for cells in texts]


class Progress:
    """One line that is overwritten on a terminal; otherwise a plain line every two seconds."""

    def __init__(self):
        self.live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.open = False  # the terminal shows a line that will be overwritten
        self.midline = False  # the terminal shows a line that is not complete
        self.last = (None, None, 0)  # the label, text and time of the last plain line

    def show(self, label, done, total, more=""):
        text = f"{done} of {total}{more}"
        if self.live:
            self.draw(label, done / total, text)
        elif self.due(label, text, done == total):
            print(f"{label}: {text}", flush=True)

    def due(self, label, text, ended):
        now, (last_label, last_text, at) = time.monotonic(), self.last
        if (label, text) == (last_label, last_text) or label == last_label and not ended and now - at < PAUSE:
            return False
        self.last = (label, text, now)
        return True

    def draw(self, label, share, text):
        columns = shutil.get_terminal_size().columns - 1
        size = max(8, min(30, columns - len(label) - len(text) - 6))
        bar = ("=" * int(size * share) + (">" if share < 1 else ""))[:size].ljust(size)
        sys.stdout.write("\r\x1b[K" + f"{label}  [{bar}]  {text}"[:columns])
        sys.stdout.flush()
        self.open = True

    def status(self, text):
        """A line that is overwritten; on a terminal only."""
        if not self.live:
            return
        if self.midline:
            print()
        self.midline = False
        sys.stdout.write("\r\x1b[K" + text[:shutil.get_terminal_size().columns - 1])
        sys.stdout.flush()
        self.open = True

    def stream(self, text):
        """Text that continues where the last one ended."""
        self.wipe()
        text = "\n".join(printable(line) for line in text.split("\n"))
        sys.stdout.write(text)
        sys.stdout.flush()
        self.midline = not text.endswith("\n") if text else self.midline

    def finish(self):
        """Ends the current line and keeps it."""
        if self.open or self.midline:
            print(flush=True)
        self.open = self.midline = False

    def note(self, text=""):
        self.wipe()
        if self.midline:
            print()
        self.midline = False
        print(text, flush=True)

    def wipe(self):
        if self.open:
            sys.stdout.write("\r\x1b[K")
        self.open = False
