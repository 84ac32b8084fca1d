package simd

import (
	"encoding/binary"
	"testing"
)

func TestDotProduct(t *testing.T) {
	entry := func(key, value uint64) []byte {
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, key), value)
	}
	for _, c := range []struct {
		auxv []byte
		want bool
	}{{nil, false}, {entry(16, 1<<20)[:15], false}, {entry(16, 1<<20|1), true}, {entry(16, 1<<19), false}, {entry(17, 1<<20), false}, {append(entry(3, 1<<20), entry(16, 1<<20)...), true}} {
		if got := dotProduct(c.auxv); got != c.want {
			t.Errorf("%v: %v", c.auxv, got)
		}
	}
}
