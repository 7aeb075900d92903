package mqtt

import "testing"

func TestConnectionsLeaveFilesForTheLog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		clients int
		files   uint64
		want    int64
	}{
		{10_000, 1 << 20, 10_256},
		{10_000, 4096, 4096 - 768},
		{10_000, 1024, 512},
		{10_000, 128, 64},
		{100, 1024, 356},
	} {
		if got := openBound(c.clients, c.files); got != c.want {
			t.Errorf("%d clients, %d files: got %d connections, want %d", c.clients, c.files, got, c.want)
		}
	}
}
