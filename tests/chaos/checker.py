"""Compares the answers to the clients, the final state in the API, and the real runs. Pure: no process, no clock."""
import collections
import dataclasses
import datetime

from clock import without_jumps
from ledger import FINAL, artifact_id, content, outcome_of
from runner import made

# Codes with which a task may fail in such a run: the loss of its agent, its own timeout or exit code, and a stop of the
# agent during the task. FOR_ONCE: of tasks with one attempt only; with more, another agent gets them. (An agent that is
# cut off for longer than the timeout of a task has not received it.)
FOR_ONCE = {"outcome_unknown", "not_delivered"}
EXPECTED_ERRORS = {"agent_lost", "timed_out", "exit_status", "agent_stopping", "killed", *FOR_ONCE}
MOST_HISTORY = 64  # attempts that the coordinator keeps per task


@dataclasses.dataclass
class Run:
    run: str
    task: str
    agent: str
    life: int
    start: int  # monotonic ns
    end: int = 0
    trouble: str = ""


def read_runs(folder):
    """Every run of every agent, by task."""
    runs = {}
    for path in sorted(folder.glob("*.runs")):
        for line in path.read_text(encoding="utf-8").splitlines():
            what, run, task, life, at = line.split()
            if what == "start":
                runs[run] = Run(run, task, path.stem, int(life), int(at))
            elif what == "end":
                runs[run].end = int(at)
            else:
                runs[run].trouble = what
    by_task = collections.defaultdict(list)
    for run in runs.values():
        by_task[run.task].append(run)
    return by_task


def unix_ms(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


def named_artifacts(value):
    """The ids of all artifacts in a task, at any depth."""
    if isinstance(value, dict):
        own = {value["artifact"]} if isinstance(value.get("artifact"), str) else set()
        return own.union(*map(named_artifacts, value.values()))
    if isinstance(value, list):
        return set().union(*map(named_artifacts, value))
    return set()


class Checker:
    """`final`: every task of the API by id; `files`: the content of each named artifact, None if it is missing;
    `wall_minus_mono_ms`, `now_ms`: from the wall clock of the machine, which does not jump.
    """

    def __init__(self, ledger, final, runs, files, wall_minus_mono_ms, now_ms):
        self.ledger, self.runs, self.shift, self.now_ms = ledger, runs, wall_minus_mono_ms, now_ms
        self.final, self.files = final, files
        self.by_label = collections.defaultdict(list)
        for task in final.values():
            self.by_label[task.get("name", "")].append(task)
        self.violations = []

    def bad(self, rule, text):
        self.violations.append(f"{rule}: {text}")

    def check(self):
        for entry in self.ledger.entries.values():
            self.check_existence(entry)
            tasks = self.by_label.get(entry.label, [])
            if len(tasks) == 1:
                self.check_outcome(entry, tasks[0])
                self.check_runs(entry, tasks[0])
        for label, record in self.ledger.batches.items():
            self.check_batch(label, record)
        for artifact, (label, _) in self.ledger.files.items():
            self.check_file(f"{label}, which was uploaded", artifact, content(label))
        for label in self.by_label:
            if label not in self.ledger.entries:
                self.bad("unknown task", f"the store has a task {label!r} that was not submitted")
        for task, runs in self.runs.items():
            if not self.by_label.get(task):
                self.bad("run without task", f"{task} ran, but is not in the store: {runs}")
            for run in runs:
                if run.trouble:
                    self.bad("slots" if run.trouble == "overbooked" else "orphan", f"{run}")
        return self.violations

    # ---- accepted is kept; no answer means not accepted

    def check_existence(self, entry):
        tasks = self.by_label.get(entry.label, [])
        if len(tasks) > 1:
            self.bad("duplicated", f"{entry.label} is in the store {len(tasks)} times: {[t['id'] for t in tasks]}")
        if len(entry.ids) > 1:
            self.bad("duplicated", f"{entry.label} was answered with several ids: {sorted(entry.ids)}")
        if entry.id and entry.id not in self.final:
            self.bad("lost", f"{entry.label} was accepted as {entry.id} ({entry.way}) and is not in the store")
        if entry.way != "batch" and not entry.id and not entry.lost and tasks:
            self.bad("refused but kept", f"{entry.label} was answered {entry.refused} and is in the store: {tasks[0]['id']}")
        if 422 in entry.refused:
            self.bad("refused as invalid", f"{entry.label}: {str(entry.body)[:500]}")

    def check_batch(self, label, record):
        there = [one for one in record["tasks"] if self.by_label.get(one)]
        if there and len(there) != len(record["tasks"]):
            self.bad("partial batch", f"{label}: {len(there)} of {len(record['tasks'])} tasks are in the store")
        if record["ids"] and not there:
            self.bad("lost", f"batch {label} was accepted as {record['ids']} and is not in the store")
        if len(record["ids"]) > 1:
            self.bad("duplicated", f"batch {label} was answered with several ids: {record['ids']}")
        if there and not record["ids"] and not record["lost"]:
            self.bad("refused but kept", f"batch {label} was answered {record['refused']} and is in the store")

    # ---- one outcome

    def check_outcome(self, entry, task):
        name = f"{entry.label} ({task['id']})"
        if task["state"] not in FINAL:
            return self.bad("no outcome", f"{name} is {task['state']}: {task.get('waiting', '')} {task['attempts']}")
        last = outcome_of(task)
        for when, how, outcome in entry.outcomes:
            # A retry without an answer may take effect at any time.
            retried = any(status == 0 or (status == 202 and answered >= when) for _, answered, status in entry.retries)
            if not retried and outcome != last:
                self.bad("changed outcome", f"{name}: the answer over {how} was {outcome}, now it is {last}")
        code = last["error"]
        if task["state"] == "failed" and code not in EXPECTED_ERRORS:
            self.bad("unexpected failure", f"{name}: {task.get('error')}")
        if task["state"] == "succeeded" and task["capability"] == "echo" and task["output"] != entry.body["input"]:
            self.bad("wrong result", f"{name}: {str(task['output'])[:200]} instead of {str(entry.body['input'])[:200]}")
        if task["state"] == "cancelled" and not entry.cancels:
            self.bad("cancelled without request", f"{name}: {task['attempts']}")
        if task["state"] == "expired" and "expires_after_ms" not in entry.body:
            self.bad("expired without limit", name)
        if code in FOR_ONCE and not entry.once:
            self.bad("given up early", f"{name}: {code} although it has attempts left")
        if [a for a in task["attempts"] if a["state"] in ("assigned", "running")]:
            self.bad("open attempt", f"{name} is {task['state']}: {task['attempts']}")
        if task["state"] == "succeeded" and sum(a["state"] == "succeeded" for a in task["attempts"]) != 1:
            self.bad("not one success", f"{name}: {task['attempts']}")
        return None

    # ---- the real runs

    def check_runs(self, entry, task):
        runs = self.runs.get(entry.label, [])
        if not task["capability"].startswith("command."):
            return
        name = f"{entry.label} ({task['id']}, {task['state']})"
        retried = [status for _, _, status in entry.retries if status in (0, 202)]
        allowed = 1 + len(retried)
        if entry.once and len(runs) > allowed:
            self.bad("at most once", f"{name} ran {len(runs)} times: {runs}; {task['attempts']}")
        given = collections.Counter(attempt["agent"] for attempt in task["attempts"])
        ran = collections.Counter(run.agent for run in runs)
        if len(task["attempts"]) < MOST_HISTORY:
            for agent, times in ran.items():
                if times > given[agent]:
                    self.bad("more runs than attempts", f"{name} on {agent}: {times} runs, {given[agent]} attempts:"
                                                        f" {runs}; {task['attempts']}")
        if task["state"] == "succeeded":
            self.check_success(name, entry, task, runs)
        if task["state"] == "cancelled" and not retried:
            self.check_cancelled(name, task, runs)
        delay = entry.body.get("delay_ms", 0)
        for run in runs:
            if run.start / 1e9 < entry.first_sent + delay / 1000:
                self.bad("too early", f"{name} has a delay of {delay} ms and was sent at {entry.first_sent}: {run}")

    def check_success(self, name, entry, task, runs):
        said = task["output"]["stdout"]["text"].strip()
        found = [run for run in runs if run.run == said]
        winner = [a["agent"] for a in task["attempts"] if a["state"] == "succeeded"]
        if not found or not found[0].end:
            self.bad("wrong result", f"the output of {name} names run {said!r}, which did not end; its runs are {runs}")
        elif [found[0].agent] != winner:
            self.bad("wrong result", f"{name} is recorded as succeeded on {winner}; the run was {found[0]}")
        if entry.body["input"]["code"]:
            self.bad("wrong result", f"{name} succeeded with exit code {entry.body['input']['code']}")
        self.check_made(name, entry, said, task["output"]["artifacts"])

    # ---- files

    def check_made(self, name, entry, run, artifacts):
        """The files of a result were made by that run, from its input file."""
        names = [f"part-{part}" for part in range(entry.body["input"].get("files", 0))]
        if sorted(artifact["name"] for artifact in artifacts) != names:
            return self.bad("wrong files", f"{name} made {names}; its result names {artifacts}")
        for part, artifact in enumerate(sorted(artifacts, key=lambda one: one["name"])):
            wanted = made(run, entry.label, part, content(entry.source))
            self.check_file(f"{artifact['name']} of {name}", artifact["artifact"], wanted)
            if artifact["bytes"] != len(wanted):
                self.bad("wrong files", f"the result of {name} names {artifact}; the file has {len(wanted)} bytes")
        return None

    def check_file(self, what, artifact, wanted):
        there = self.files.get(artifact)
        if there is None:
            self.bad("lost file", f"{what}: {artifact} is missing")
        elif artifact_id(there) != artifact:
            self.bad("corrupt file", f"{what}: {artifact} has {len(there)} bytes, with the id {artifact_id(there)}")
        elif there != wanted:
            self.bad("wrong files", f"{what}: {artifact} has {len(there)} bytes that differ from the original")

    def check_cancelled(self, name, task, runs):
        """A cancelled queued task never starts; after a confirmed stop nothing runs."""
        if runs and not task["attempts"]:
            self.bad("ran after cancel", f"{name} was cancelled in the queue: {runs}")
        unconfirmed = (task.get("error") or {}).get("code") == "stop_unconfirmed"
        over = without_jumps(unix_ms(task["ended_at"]), self.now_ms) - self.shift
        states = collections.defaultdict(set)
        for attempt in task["attempts"]:
            states[attempt["agent"]].add(attempt["state"])
        for run in runs:
            known = states[run.agent]
            if known == {"returned"}:
                self.bad("ran after return", f"{name}: {run}; {task['attempts']}")
            # Only with one attempt: of several, the replaced attempts are cancelled without waiting for their end.
            confirmed = known == {"cancelled"} and len(task["attempts"]) == 1 and not unconfirmed
            if confirmed and max(run.start, run.end) / 1e6 > over + 50:
                self.bad("ran after stop", f"{name} ended at {over:.0f} ms of the monotonic clock: {run}; {task['attempts']}")
