# shellcheck shell=bash disable=SC2034 # variables are for the scripts that source this
# What dovecot-server and cyrus-server have in common; sourced, not run.
#
# An instance is a directory.  Its files: env (assignments to source), tls/
# (from test-ca), log, out (what the server wrote to stderr), pid (of the
# master, which leads a session of its own: every process of the instance is in
# that session), port (its ports, kept over a restart).

: "${MAILHAUL_SERVERS:=/opt/mailhaul-test}"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin

fail() { echo "${0##*/}: $*" >&2; exit 1; }

# enter DIR - sets dir; unix socket paths below it may have no more than 107 bytes
enter() {
	mkdir -p "$1"
	dir=$(cd "$1" && pwd -P)
	[ ${#dir} -le 72 ] || fail "the directory's name is too long for unix sockets: $dir"
	case $dir in
	*[!-A-Za-z0-9_./+]*) fail "blanks and the like do not go into server configurations: $dir" ;;
	esac
	chmod a+rx "$dir"
}

# choose_ports N - sets ports: the ones of the last start, else free ones
choose_ports() {
	if [ ! -s "$dir/port" ]; then
		# below the range that the kernel gives to outgoing connections
		/usr/bin/python3 -c '
import random, socket, sys
held = []
while len(held) < int(sys.argv[1]):
    s = socket.socket()
    try:
        s.bind(("127.0.0.1", random.randrange(12000, 32000)))
        held.append(s)
    except OSError:
        s.close()
print(*[s.getsockname()[1] for s in held])' "$1" >"$dir/port.new"
		mv "$dir/port.new" "$dir/port"
	fi
	read -r -a ports <"$dir/port"
}

# certificates - sets ca, cert, key
certificates() {
	local tls=${MAILHAUL_TEST_CA:-$dir/tls}
	"$here/test-ca" "$tls"
	ca=$tls/ca.pem
	cert=$tls/${MAILHAUL_TEST_CERT:-good}.pem
	key=${cert%.pem}.key
}

# preload - sets preload: the library for the servers, and what the caller asks for
preload() {
	local source=$here/../tests/lib/preload.c
	preload=$MAILHAUL_SERVERS/preload.so
	if [ "$source" -nt "$preload" ]; then
		preload=$dir/preload.so
		[ "$preload" -nt "$source" ] || cc -O -fPIC -shared -o "$preload" "$source" -ldl
	fi
	preload=$preload${FIXTURE_PRELOAD:+:$FIXTURE_PRELOAD}
}

# unpacked NAME - sets root and libs: the server NAME and its own shared libraries
unpacked() {
	root=$MAILHAUL_SERVERS/$1
	[ -e "$root/.unpacked" ] || fail "no $1 below $MAILHAUL_SERVERS: run scripts/setup"
	libs=$(cat "$root/.libraries")
}

# processes - the pids of the instance's session
processes() {
	[ -s "$dir/pid" ] || return 0
	ps -o pid=,stat= -s "$(cat "$dir/pid")" | while read -r p s; do
		case $s in
		Z*) ;;
		*) echo "$p" ;;
		esac
	done
}

# alive - the session is there and is ours, not another one with a reused number
alive() {
	[ -s "$dir/pid" ] && tr '\0' ' ' <"/proc/$(cat "$dir/pid")/cmdline" 2>/dev/null | grep -qF "$dir/"
}

# launch COMMAND... - as the leader of a new session, without our files
launch() {
	setsid "$@" </dev/null >>"$dir/out" 2>&1 &
	echo $! >"$dir/pid"
}

# answers PORT - does an IMAP server greet there?
answers() {
	local line=
	{ exec 9<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
	IFS= read -r -t 3 line <&9 || :
	exec 9>&-
	case $line in
	'* OK'*) ;;
	*) return 1 ;;
	esac
}

# wait_ready PORT
wait_ready() {
	local end=$((SECONDS + 30)) early=$((SECONDS + 3))
	while [ $SECONDS -lt $end ]; do
		answers "$1" && return
		# the session is not there before setsid has run
		[ -n "$(processes)" ] || [ $SECONDS -le $early ] || break
		sleep 0.05
	done
	stop
	tail -n 20 "$dir/out" "$dir/log" >&2 || :
	fail "no greeting on port $1"
}

# stop - ends when no process is left
stop() {
	local n p
	if alive; then
		for ((n = 0; n < 200; n++)); do
			# sessions of a Dovecot whose master has gone stay for a while
			if [ $((n % 20)) = 0 ]; then
				for p in $(processes); do
					kill -TERM "$p" 2>/dev/null || :
				done
			fi
			sleep 0.05
			[ -n "$(processes)" ] || break
		done
		for p in $(processes); do
			echo "${0##*/}: process $p did not end" >&2
			kill -KILL "$p" 2>/dev/null || :
		done
	fi
	rm -f "$dir/pid"
}
