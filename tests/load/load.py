#!/usr/bin/env python3
"""One coordinator and one broker under load, over real MQTT.

  ./dev load                              5,000 agents for ten minutes, 500 tasks a second
  ./dev load --agents 200 --seconds 15    fewer, shorter
  ./dev load --restarts                   and at the end the coordinator is killed, and then the broker
  ./dev load --queued 1000000             a million tasks that nobody can take: memory, submit, start after kill -9
  ./dev load --json                       figures for programs

Every agent has a connection of its own, and the core of a real agent; simulated are its board and its executor, which
echoes its input after as long as the input says. All runs on this machine's loopback and shares its cores. Exit code 1:
an accepted task without its one outcome, or an agent that was there and was held lost.
"""
import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import traceback

import report
from queued import Queued
from steady import Steady
from world import Impossible


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=5000)
    parser.add_argument("--slots", type=int, default=2, help="of each agent")
    parser.add_argument("--seconds", type=float, default=None, help="of work; default: ten minutes")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--idle-seconds", type=float, default=30, help="of beats alone, before the work")
    parser.add_argument("--rate", type=float, default=500, help="tasks a second")
    parser.add_argument("--singles", type=float, default=50, help="of them, submitted one by one and waited for")
    parser.add_argument("--run-ms", type=float, default=1000, help="mean of the tasks' exponential run times")
    parser.add_argument("--restarts", action="store_true", help="at the end, kill -9 of coordinator and broker, all at work")
    parser.add_argument("--queued", type=int, default=None, metavar="N", help="the other test: N tasks and no agent")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=None, help="of HTTP; the next one is the broker's (default: free ones)")
    parser.add_argument("--keep", action="store_true", help="keep store and logs")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.seconds = args.minutes * 60 if args.seconds is None else args.seconds
    return args


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended then, too
    say = lambda text: print(text, file=sys.stderr if args.json else sys.stdout, flush=True)
    folder = tempfile.mkdtemp(prefix="edgefleet-load-", dir=os.environ.get("TMPDIR"))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}"
    say(machine)
    test = None
    try:
        test = (Queued if args.queued else Steady)(folder, args, say)
        test.run()
    except Impossible as impossible:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit(f"load: {impossible}")
    except Exception as error:
        traceback.print_exc()
        if test is None:
            raise
        test.violations.append(f"the run itself failed: {error!r}")
    except (KeyboardInterrupt, SystemExit):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        if test:
            test.world.stop()
    found = test.violations
    if args.json:
        about = {"machine": machine, "load_average": os.getloadavg()[0]}
        print(json.dumps({**about, **test.figures, "violations": found}, indent=2))
    else:
        if "violations" in test.figures:
            (report.queued if args.queued else report.steady)(test.figures)
        report.violations(found, "all that was queued is there or has been run" if args.queued else
                          "every accepted task has its one outcome, no agent was held lost")
    if found or args.keep:
        say(f"everything is kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
