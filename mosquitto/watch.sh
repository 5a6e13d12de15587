#!/bin/sh
# mosquitto/watch.sh FOLDER [RUN]: runs a closed broker in the foreground on the generation of files that the link
# FOLDER/current leads to (coordinator/access/broker_generation.hpp writes them). RUN (default: FOLDER/run) is this
# script's own folder. It needs Linux, and coreutils or busybox.
#
# Mosquitto fails open: with one bad file at a SIGHUP, the access lists of all listeners are gone. At a start it refuses
# the same files. So the broker never reads FOLDER. A new generation is copied, its sums are checked, and a second
# Mosquitto starts on it; only then it becomes RUN/live, through which all paths of mosquitto.conf go, and the broker
# gets its SIGHUP. The listeners of the trial are sockets in RUN: it needs no free port, and nobody can connect to it.
#
# While FOLDER/stop exists, no broker runs. RUN/state has four lines, and is replaced as a whole:
#   broker=running         or stopped (by FOLDER/stop), down (it does not start, or there is nothing to start it on)
#   generation=000007-...  the `id` of the generation in RUN/live; empty: none
#   refused=000008-...     the `id` of FOLDER/current, if it is not taken
#   why=...                the reason for `refused`, `stopped` or `down`, or that FOLDER has no generation
set -u
umask 077
PATH=$PATH:/usr/sbin # Debian's folder for mosquitto is only in root's PATH.
files='mosquitto.conf agents.acl people.acl passwords ca.crt crl.pem server.crt server.key'

broker=  # the process id; empty: none
ended=   # a signal asks for the end
live=    # the id of what RUN/live has
refused= # the id of what was refused
rest=0   # turns until that is tried again
why=     # the reason of the last failure
down=    # why there is no broker
spared=0 # turns without a start, after one that failed
shown=   # the content of `state`

say() { printf 'watch.sh: %s\n' "$*" >&2; }

# A turn of the loop. Fractions of a second are no part of POSIX.
nap() { sleep "$1" 2>/dev/null || sleep 1; }

# mine PID: it runs, and it is a child of ours, so that no other process of this id is meant.
mine() {
  [ -n "$1" ] && read -r _ _ phase parent _ 2>/dev/null <"/proc/$1/stat" && [ "$parent" = $$ ] && [ "$phase" != Z ]
}

# handles_hangup PID: before it does, a SIGHUP would end Mosquitto. SIGHUP is the lowest bit of the mask.
handles_hangup() {
  read -r program 2>/dev/null <"/proc/$1/comm" && [ "$program" = mosquitto ] || return 1
  while read -r key value; do
    case $key$value in SigCgt:*[13579bdf]) return 0 ;; esac
  done 2>/dev/null <"/proc/$1/status"
  return 1
}

# finish PID: SIGTERM, and after five seconds SIGKILL; returns the exit code.
finish() {
  kill -TERM "$1" 2>/dev/null
  turns=50
  while mine "$1"; do
    turns=$((turns - 1))
    if [ "$turns" -le 0 ]; then kill -KILL "$1" 2>/dev/null; fi
    nap 0.1
  done
  wait "$1" 2>/dev/null
}

# first_line FILE: of printable characters, at most 300.
first_line() { head -n 1 "$1" 2>/dev/null | tr -cd ' -~' | cut -c 1-300; }

report() {
  state=running
  reason=$why
  if ! mine "$broker"; then
    state=down
    reason=$down
    if is_stopped; then state=stopped; fi
  fi
  text=$(printf 'broker=%s\ngeneration=%s\nrefused=%s\nwhy=%s' "$state" "$live" "$refused" "$reason")
  if [ "$text" = "$shown" ]; then return; fi
  say "$(printf '%s' "$text" | tr '\n' ' ')"
  # The coordinator is another user, and may read it.
  if printf '%s\n' "$text" >state.new && chmod 644 state.new && mv -f state.new state; then shown=$text; fi
}

is_stopped() { [ -e "$folder/stop" ] || [ -L "$folder/stop" ]; }
is_to_stop() { [ -n "$broker" ] && is_stopped; }

# ---- a new generation

# copy GENERATION: to trial/live.
copy() {
  why="$1 cannot be copied"
  rm -rf trial
  mkdir trial && cp -R "$folder/generations/${1%%-*}" trial/live 2>/dev/null
}

# is_whole FOLDER ID: all files are there, as they were written.
is_whole() {
  why="$2 is not whole"
  for file in $files; do
    grep -q "^[0-9a-f]\{64\}  $file\$" "$1/SHA256SUMS" 2>/dev/null || return 1
  done
  [ "$(sha256sum <"$1/SHA256SUMS" | cut -c 1-16)" = "${2#*-}" ] && [ "$(first_line "$1/id")" = "$2" ] &&
    (cd "$1" && sha256sum -c SHA256SUMS >/dev/null 2>&1)
}

# raise_limit FOLDER: of open files, which may be far below the connections that the broker has to take. (ulimit: not in
# POSIX with these options, but in dash and in busybox.)
# shellcheck disable=SC3045
raise_limit() {
  needed=$(sed -n 's/^max_connections \([0-9]*\)$/\1/p' "$1/mosquitto.conf" | (
    sum=50
    while read -r most; do sum=$((sum + most)); done
    echo "$sum"
  ))
  has=$(ulimit -n)
  if [ "$has" = unlimited ] || [ "$has" -ge "$needed" ] || ulimit -S -n "$needed" 2>/dev/null; then return; fi
  say "the limit of open files (ulimit -n) is $has, the broker may need $needed"
}

# starts: a second Mosquitto on trial/live, in the folder `trial`, so that the same relative paths lead there.
starts() {
  {
    sed 's/^listener \([0-9]*\).*/listener 0 socket-\1/' trial/live/mosquitto.conf
    echo 'log_type information' # to see that it runs
  } >trial/mosquitto.conf
  (cd trial && exec mosquitto -c mosquitto.conf) >trial/log 2>&1 &
  tried=$!
  turns=100
  while ! grep -q ' running$' trial/log 2>/dev/null && mine "$tried" && [ "$turns" -gt 0 ] && [ -z "$ended" ] &&
    ! is_to_stop; do
    turns=$((turns - 1))
    nap 0.1
  done
  finish "$tried"
  grep 'Error' trial/log >trial/errors 2>/dev/null
  why=$(first_line trial/errors)
  if [ -z "$why" ] && ! grep -q ' running$' trial/log 2>/dev/null; then why='Mosquitto does not start on it'; fi
  [ -z "$why" ]
}

# take GENERATION: it becomes RUN/live. A SIGHUP changes no listener; for another mosquitto.conf the broker starts again.
take() {
  restart=
  cmp -s trial/live/mosquitto.conf live/mosquitto.conf || restart=yes
  before=$live
  why="$1 cannot be put in its place"
  rm -rf "generation.$1" live.new
  mv trial/live "generation.$1" && ln -s "generation.$1" live.new && mv -fT live.new live || return 1
  live=$1
  why=
  if ! mine "$broker"; then
    spared=0
  elif [ -n "$restart" ]; then
    say 'mosquitto.conf has changed: the broker is started again'
    end_broker
    spared=0
  else
    kill -HUP "$broker"
  fi
  for old in generation.*; do
    case $old in "generation.$live" | "generation.$before") ;; *) rm -rf "$old" ;; esac
  done
}

look() {
  if ! read -r id 2>/dev/null <"$folder/current/id"; then
    refused=
    why="there is no generation in $folder"
    return
  fi
  case ${id%%-*}/${id#*-} in
    */*[!0-9a-f]* | *[!0-9]*/* | /* | */)
      refused=
      why="the id in $folder/current is none"
      return
      ;;
  esac
  if [ "$id" = "$live" ]; then
    refused=
    why=
    return
  fi
  # It is tried again later: the reason may have been a full disk.
  if [ "$id" = "$refused" ] && [ "$rest" -gt 0 ]; then
    rest=$((rest - 1))
    return
  fi
  if copy "$id" && is_whole trial/live "$id" && starts && [ -z "$ended" ] && take "$id"; then
    refused=
  elif [ -z "$ended" ]; then
    refused=$id
    rest=60
    if is_to_stop; then rest=0; fi # the trial was cut short
  fi
  rm -rf trial
}

# ---- the broker

start_broker() {
  down="there is no generation in $folder that can be used"
  if [ -z "$live" ]; then
    if [ -n "$why" ]; then down=$why; fi
    return
  fi
  if [ "$spared" -gt 0 ]; then
    spared=$((spared - 1))
    return
  fi
  raise_limit live
  mosquitto -c live/mosquitto.conf &
  broker=$!
  echo "$broker" >pid
  turns=100
  while mine "$broker" && ! handles_hangup "$broker" && [ "$turns" -gt 0 ] && [ -z "$ended" ]; do
    turns=$((turns - 1))
    nap 0.1
  done
  if handles_hangup "$broker"; then
    # So that a broker that has just started is in the state of one that runs for long: Mosquitto 2.0.11 loses
    # max_connections at its first SIGHUP, and no TLS session from before one can be resumed without a certificate.
    kill -HUP "$broker"
    return
  fi
  end_broker
  down='Mosquitto ends at its start, see its log; maybe a port is taken'
  spared=4
}

end_broker() {
  if [ -n "$broker" ]; then finish "$broker"; fi
  broker=
  rm -f pid
}

care() {
  if is_stopped; then
    if [ -n "$broker" ]; then end_broker; fi
    down="$(first_line "$folder/stop")"
    spared=0
  elif ! mine "$broker"; then
    if [ -n "$broker" ]; then
      wait "$broker"
      say "the broker has ended with $?"
      broker=
    fi
    start_broker
  fi
}

# One watcher for a folder: `lock` has its process id, and is created by one process only. (No flock: Debian's busybox
# has none.)
lock() {
  until (set -C && echo $$ >lock) 2>/dev/null; do
    other=
    read -r other 2>/dev/null <lock
    if [ -n "$other" ] && [ "$(readlink "/proc/$other/cwd" 2>/dev/null)" = "$PWD" ]; then
      say "another watch.sh runs in $PWD"
      exit 1
    fi
    rm -f lock || exit 1
  done
}

# Two that start at the same moment may both have removed the lock of a dead one; the first to see it ends.
is_ours() {
  read -r owner 2>/dev/null <lock || return 0
  [ "$owner" = $$ ]
}

# A watcher that was killed has left its broker behind; it is ours if it runs in our folder.
end_left_over() {
  read -r left 2>/dev/null <pid || return 0
  case $left in '' | *[!0-9]*) return 0 ;; esac
  turns=100
  while [ "$(readlink "/proc/$left/cwd" 2>/dev/null)" = "$PWD" ] && read -r program 2>/dev/null <"/proc/$left/comm" &&
    [ "$program" = mosquitto ]; do
    turns=$((turns - 1))
    if [ "$turns" -eq 0 ]; then
      say "the broker $left of an earlier watch.sh cannot be ended"
      exit 1
    fi
    if [ "$turns" -gt 50 ]; then kill -TERM "$left"; else kill -KILL "$left"; fi 2>/dev/null
    nap 0.1
  done
  rm -f pid
}

# ---- the start

case $# in
  1 | 2) ;;
  *)
    echo 'usage: mosquitto/watch.sh FOLDER [RUN]' >&2
    exit 2
    ;;
esac
if [ "$(id -u)" = 0 ]; then
  # Mosquitto would change to another user at its start, and then it cannot read the files again: it would fail open.
  say "run it not as root, but as the user of edgefleet-coordinator, or another who can read $1"
  exit 1
fi
case $1 in /*) folder=$1 ;; *) folder=$PWD/$1 ;; esac
run=${2:-$folder/run}
(umask 022 && mkdir -p "$run") && cd "$run" || exit 1
PWD=$(pwd -P)
lock
# A hangup is for the broker only, and harmless to it: what it reads is never half of a generation.
trap '' HUP
trap 'ended=yes' TERM INT
end_left_over
rm -rf trial live.new state.new
# What an earlier watcher has taken is good until there is a better one, unless a power cut has torn it.
if read -r id 2>/dev/null <live/id && is_whole live "$id"; then live=$id; fi
while [ -z "$ended" ] && is_ours; do
  look
  care
  report
  nap 0.5
done
end_broker
down='watch.sh has ended'
if is_ours; then
  report
  rm -f lock
fi
