#!/bin/sh
# mosquitto/broker.sh PORT [DIR]: runs this project's broker on 127.0.0.1:PORT in the foreground; stop it with a signal.
# Its configuration is written to DIR/mosquitto.conf (default: a temporary folder that the system clears), with the lines
# of DIR/more.conf if there is one. If root starts it, it switches to the user mosquitto, otherwise it keeps the current
# user; it needs no writable folder.
set -eu
case ${1-} in
  '' | *[!0-9]*)
    echo 'usage: mosquitto/broker.sh PORT [DIR]' >&2
    exit 2
    ;;
esac
port=$1
here=$(dirname "$(readlink -f "$0")")
dir=${2:-$(mktemp -d)}
mkdir -p "$dir"
{
  echo "listener $port 127.0.0.1"
  echo 'allow_anonymous true' # only because no other machine can reach it
  cat "$here/common.conf"
  if [ -f "$dir/more.conf" ]; then cat "$dir/more.conf"; fi
} >"$dir/mosquitto.conf"
PATH=$PATH:/usr/sbin # Debian's folder for it is only in root's PATH.
exec mosquitto -c "$dir/mosquitto.conf"
