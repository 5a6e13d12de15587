#!/usr/bin/env python3
"""One coordinator and one broker under load, over real MQTT.

  ./dev load                              5,000 agents for ten minutes, 500 tasks per second
  ./dev load --agents 200 --seconds 15    fewer agents, shorter
  ./dev load --restarts                   at the end, kills the coordinator, then the broker
  ./dev load --closed --restarts          the same after `setup`: TLS, a certificate for each agent, access lists
  ./dev load --queued 1000000             a million tasks that no agent can take: memory, submit, start after kill -9
  ./dev load --json                       the figures as JSON

Every agent has its own connection and the core of a real agent; its board and its executor are simulated. The executor
returns its input after the time that the input states. Everything runs on the loopback interface and shares the cores.
Exit code 1: an accepted task without exactly one outcome, or a connected agent that was declared lost.
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
    parser.add_argument("--slots", type=int, default=2, help="slots per agent")
    parser.add_argument("--seconds", type=float, default=None, help="duration of the work (default: ten minutes)")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--idle-seconds", type=float, default=30, help="duration of heartbeats alone, before the work")
    parser.add_argument("--rate", type=float, default=500, help="tasks per second")
    parser.add_argument("--singles", type=float, default=50, help="single tasks per second among them")
    parser.add_argument("--run-ms", type=float, default=1000, help="mean run time of the tasks (exponential)")
    parser.add_argument("--restarts", action="store_true", help="at the end, kill -9 of coordinator and broker")
    parser.add_argument("--closed", action="store_true", help="a fleet after `edgefleet-coordinator setup`")
    parser.add_argument("--queued", type=int, default=None, metavar="N", help="the other test: N tasks, no agent")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=None, help="HTTP port; the broker uses the next (default: free ones)")
    parser.add_argument("--keep", action="store_true", help="keep the store and the logs")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.closed and (args.queued or args.port):
        parser.error("--closed goes neither with --queued nor with --port")
    args.seconds = args.minutes * 60 if args.seconds is None else args.seconds
    return args


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the started processes are ended too
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
        test.violations.append(f"the test itself failed: {error!r}")
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
        report.violations(found, "all queued tasks exist or have been run" if args.queued else
                          "every accepted task has exactly one outcome, no connected agent was declared lost")
    if found or args.keep:
        say(f"everything is kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
