"""The report as text and tables."""


def table(head, rows):
    rows = [head, *[[("-" if cell is None else str(cell)) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        rest = "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))
        print("  " + row[0].ljust(widths[0]) + rest)


def spread(values, unit="ms"):
    return "-" if not values else ", ".join(f"{name} {value} {unit}" for name, value in values.items())


def seconds(by_name):
    return ", ".join(f"{name} {s} s" for name, s in by_name.items())


def steady(figures):
    joined, tasks = figures["joined"], figures["tasks"]
    if enrolled := figures.get("enrolled"):
        print(f"{figures['agents']} agents enrolled in {enrolled['seconds']} s, {enrolled['per_s']} per second, at the end "
              f"{enrolled['last_tenth_per_s']} (CPU: {seconds(enrolled['cpu_s'])}; of the coordinator "
              f"{enrolled['coordinator_ms_each']} ms each)")
    print(f"{figures['agents']} agents of {figures['slots']} slots; all placeable {joined['seconds']} s after their "
          f"start ({joined['agents_per_s']} per second; CPU: {seconds(joined['cpu_s'])})")
    for name in ("beats alone", "at work"):
        phase = figures[name]
        print(f"\n{name}, {phase['seconds']} s: {phase['beats_per_s']} heartbeats per second, "
              f"{phase['messages_from_agents_per_s']} messages per second from agents, "
              f"{phase['messages_to_agents_per_s']} to them")
        table(["", "CPU s", "% of a core", "resident MB", "private MB"],
              [[one, cpu["s"], cpu["percent"], phase["memory"].get(one, {}).get("resident_mb"),
                phase["memory"].get(one, {}).get("private_mb")] for one, cpu in phase["cpu"].items()])
        print(f"  a heartbeat, from its creation until it was handled: {spread(phase['beat_handled_ms'])} (of "
              f"{phase['beats_looked_at']}); longest silence {phase['longest_silence_ms']} ms")
        print(f"  GET /api/v1/agents, {phase['look_mb']} MB: {spread(phase['look_ms'])}")
    print(f"\ntasks: {tasks['accepted']} accepted, {tasks['outcomes']}, {tasks['runs']} runs, "
          f"{tasks['per_s']} per second")
    print(f"  {tasks['single']} single tasks, from due to outcome: {spread(tasks['single_ms'])}")
    print(f"  the same without the run: {spread(tasks['single_without_run_ms'])}")
    for name, found in figures.get("restarts", {}).items():
        print(f"  {name} killed with every slot busy: all agents placeable again after {found['whole_s']} s "
              f"(CPU: {seconds(found['cpu_s'])})")
    print(f"  the driver was at most {figures['driver_lag_ms']} ms late, a batch {tasks['batch_sent_late_ms']} ms")


def queued(figures):
    print(f"{figures['tasks']} tasks queued, no agent for them")
    print(f"  submitted and durable in {figures['submit_s']} s, {figures['submitted_per_s']} per second, in batches of "
          f"{figures['batch']}; coordinator's CPU {figures['submit_cpu_s']} s")
    print(f"  one more task after that: {spread(figures['one_more_ms'])}")
    table(["coordinator", "resident MB", "private MB"],
          [[name, memory["resident_mb"], memory["private_mb"]] for name, memory in figures["memory"].items()])
    print(f"  store {figures['store_mb']} MB")
    print(f"  after kill -9: ready {figures['ready_s']} s after the start, the first task started after "
          f"{figures['first_start_s']} s")


def violations(found, success):
    if not found:
        return print("\n" + success)
    print(f"\n{len(found)} VIOLATIONS")
    for one in found[:40]:
        print("  " + one[:1000])
