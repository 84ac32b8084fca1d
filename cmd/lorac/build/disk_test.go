package build

import (
	"strings"
	"testing"

	"lorac/runtime/sys/limits"
)

func TestCheckSpace(t *testing.T) {
	for _, x := range []struct {
		need, free int
		want       string // "" for none
	}{
		{0, 0, ""}, {1 << 30, -1, ""}, {4096, 4096, ""},
		{4097, 4096, "a file needs 4.0 KiB in out, where 4.0 KiB is free, 1 B less\n  = help: less"},
		{3 << 30, 0, "a file needs 3072.0 MiB in out, where 0 B is free, 3,221,225,472 B less\n  = help: less"},
	} {
		got := ""
		if err := CheckSpace("a file", "out", x.need, x.free, "less"); err != nil {
			got = err.Error()
		}
		if got != x.want {
			t.Errorf("%d of %d: %q, want %q", x.need, x.free, got, x.want)
		}
	}
}

// A host without the memory that a run on a device takes of it is refused.
func TestHostShort(t *testing.T) {
	there := limits.Bound{N: 1 << 30, From: "memory.max of control group /pod"}
	if err := hostShort(1<<30, there); err != nil {
		t.Error(err)
	}
	if err := hostShort(2<<30, limits.Bound{}); err != nil {
		t.Error(err)
	}
	err := hostShort(2<<30, there)
	if err == nil || !strings.Contains(err.Error(), "2048.0 MiB of the host's memory") || !strings.Contains(err.Error(), "there are 1024.0 MiB (memory.max of control group /pod)\n  = help: ") {
		t.Error(err)
	}
}
