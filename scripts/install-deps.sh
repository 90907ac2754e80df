#!/bin/sh
# Installs, on Debian and Ubuntu, the programs that cordon runs beside itself. Says what it installs; when nothing is
# missing it says and does nothing, as any user.
#
#   scripts/install-deps.sh postgres [softhsm2] [chromium]
#
# Without root it goes on through sudo when that asks no password, and else prints the command to run.
set -eu

oldest=15 # the first PostgreSQL that internal/pgserver accepts

say() { printf 'cordon: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# --- What each need is for, whether it is there, and the package that brings it. ---

purpose() {
	case $1 in
	postgres) echo "the database" ;;
	softhsm2) echo "trying keys in a hardware module, by PKCS #11" ;;
	chromium) echo "tests of pages in a browser" ;;
	*) die "don't know what \"$1\" is; known: postgres, softhsm2, chromium" ;;
	esac
}

present() {
	case $1 in
	postgres) has_postgres ;;
	softhsm2) has softhsm2-util ;;
	chromium) has chromium || has chromium-browser || has google-chrome ;;
	esac
}

package() {
	case $1 in
	postgres) echo postgresql ;;
	*) echo "$1" ;;
	esac
}

# The places of pgserver.Find, in its order; a folder without initdb is a client's.
has_postgres() {
	for bin in "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin "$(dirname "$(command -v postgres || echo /nowhere/x)")"; do
		[ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] || continue
		major=$("$bin/postgres" --version 2>/dev/null | sed -n 's/.*(PostgreSQL) \([0-9][0-9]*\).*/\1/p')
		[ "${major:-0}" -ge "$oldest" ] && return 0
	done
	return 1
}

# --- Installing. ---

# refresh fetches the package lists, at most once.
refreshed=
refresh() {
	[ -z "$refreshed" ] || return 0
	refreshed=yes
	say "fetching the package lists"
	apt-get update -qq >&2 || die "apt-get update failed: is the network there?"
}

# candidate is the version that apt would install; empty when it knows none.
candidate() {
	LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p' | grep -vx '(none)' || true
}

# install brings packages, quietly unless it fails.
install() {
	try_install "$@" && return 0
	if [ -z "$refreshed" ]; then
		refresh # the lists may have been too old to find the files
		try_install "$@" && return 0
	fi
	printf '%s\n' "$told" >&2
	die "apt-get could not install: $*"
}

try_install() {
	told=$(DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "$@" 2>&1 </dev/null)
}

# Debian's package creates a cluster "main" and starts it on port 5432; cordon brings its own, without a port. The switch
# is in a file of postgresql-common, which therefore goes first and alone. On a machine that had it already, the file
# is the administrator's: it is put back as it was.
clusters=/etc/postgresql-common/createcluster.conf
without_cluster() {
	if [ -f "$clusters" ]; then
		cp -p "$clusters" "$clusters.before-cordon"
		trap 'mv -f "$clusters.before-cordon" "$clusters"' EXIT
		trap 'exit 1' HUP INT TERM
	else
		install postgresql-common
	fi
	sed -i 's/^[# ]*create_main_cluster *=.*/create_main_cluster = false/' "$clusters"
	grep -q '^create_main_cluster = false' "$clusters" || echo 'create_main_cluster = false' >>"$clusters"
}

postgres_too_old() {
	. /etc/os-release
	say "${PRETTY_NAME:-this system} has PostgreSQL $1; cordon needs $oldest or newer. Add the PostgreSQL project's packages:"
	say "  apt-get install -y postgresql-common ca-certificates"
	say "  /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y"
	say "and run this again."
	exit 1
}

bring() {
	pkg=$(package "$1")
	[ -n "$(candidate "$pkg")" ] || refresh
	version=$(candidate "$pkg")
	if [ -z "$version" ]; then
		[ "$1" != chromium ] || die "no package chromium on this system; on Ubuntu it is a snap: snap install chromium"
		die "no package $pkg on this system (needed for $(purpose "$1")); install it another way"
	fi
	case $1:$version in
	postgres:*)
		[ "${version%%[!0-9]*}" -ge "$oldest" ] || postgres_too_old "${version%%[!0-9]*}"
		say "installing $pkg $version (needed for $(purpose "$1"))"
		without_cluster
		;;
	*) say "installing $pkg $version (needed for $(purpose "$1"))" ;;
	esac
	install "$pkg"
	present "$1" || die "$pkg is installed, but $1 is still not found"
}

# --- The run: find what is missing, become root if anything is, install. ---

[ $# -gt 0 ] || die "usage: $0 postgres [softhsm2] [chromium]"
missing=
for need; do
	purpose "$need" >/dev/null
	present "$need" || missing="$missing $need"
done
[ -n "$missing" ] || exit 0

has apt-get || die "missing:$missing; this is not Debian or Ubuntu: install with this system's own package manager (PostgreSQL $oldest or newer)"

if [ "$(id -u)" != 0 ]; then
	self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
	# shellcheck disable=SC2086 # the needs are single words, checked above
	if has sudo && sudo -n true 2>/dev/null; then exec sudo -n sh "$self" $missing; fi
	say "missing:$missing; installing needs root. Run:"
	has sudo && die "  sudo sh $self$missing"
	die "  su -c 'sh $self$missing'"
fi

for need in $missing; do bring "$need"; done
