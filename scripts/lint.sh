#!/usr/bin/env bash
# The linters of tools/go.mod: golangci-lint, and govulncheck where its database can be reached.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
bin=$top/bin/tools
mkdir -p "$bin"
build() { (cd "$top/tools" && go build -o "$bin/$1" "$2"); }

build golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint || exit 1
"$bin/golangci-lint" run ./... || exit 1

build govulncheck golang.org/x/vuln/cmd/govulncheck || exit 1
out=$("$bin/govulncheck" ./... 2>&1)
case $? in
0) echo "no known vulnerability is reachable" ;;
3) echo "$out"; exit 1 ;;
*) echo "skipping govulncheck: its database was not reached: $(echo "$out" | tail -n 1)" ;;
esac
