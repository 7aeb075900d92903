#!/usr/bin/env bash
# Installs the Debian packages named as arguments where that is possible, and names what is missing where it is not.
# With CI=true a missing peer is a failure.
set -u
missing=()
for package in "$@"; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
	echo "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } >/tmp/peers-install.$$ 2>&1 || tail -n 5 /tmp/peers-install.$$
	rm -f /tmp/peers-install.$$
	# The packages start services of their own on the standard ports; the tests start theirs on free ones.
	if [ -d /run/systemd/system ]; then
		systemctl disable --now mosquitto >/dev/null 2>&1 || true
	fi
fi

status=0
for package in "${missing[@]}"; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' && continue
	echo "skipping what needs $package: it is not installed (apt-get install $package)"
	[ "${CI:-}" = true ] && status=1
done
exit $status
