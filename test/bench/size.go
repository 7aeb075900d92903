package main

import (
	"context"
	"os"
	"path/filepath"

	"gateway/test/rig"
)

// sizeBound is how large the stripped arm64 binary may be, in bytes.
const sizeBound = 25_000_000

func (b *bench) size(ctx context.Context) ([]line, error) {
	out := filepath.Join(b.dir, "gateway-arm64")
	if err := rig.Build(ctx, out, "./cmd/gateway", "GOOS=linux", "GOARCH=arm64"); err != nil {
		return nil, err
	}
	info, err := os.Stat(out)
	if err != nil {
		return nil, err
	}
	return []line{{load: "stripped arm64 binary", ours: megabytes(info.Size()), target: "≤ 25 MB", verdict: verdict(info.Size() <= sizeBound)}}, nil
}
