package weights

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/weights/mindspore"
)

// TestUnwrap: the prefix of a wrapper cell is stripped if all parameters have it,
// and only then.
func TestUnwrap(t *testing.T) {
	for _, c := range []struct{ names, want string }{
		{"network.model.norm_out.weight network.lm_head.weight network.model.layers.0.attention.wq.weight epoch_num adam_m.x.y",
			"model.norm_out.weight lm_head.weight model.layers.0.attention.wq.weight epoch_num adam_m.x.y"},
		{"model.norm_out.weight network.lm_head.weight", ""},
		{"a.lm_head.weight b.model.norm_out.weight", ""},
		{"lm_head.weight model.norm_out.weight", ""},
		{"conv1.weight", ""}, {"epoch_num", ""}, {"xlm_head.weight", ""},
	} {
		var entries []mindspore.Entry
		for i, n := range strings.Fields(c.names) {
			e := mindspore.Int(n, i)
			if strings.Contains(n, ".") {
				e.Shape = []int{1}
			}
			entries = append(entries, e)
		}
		path := filepath.Join(t.TempDir(), "a.ckpt")
		if err := mindspore.Write(path, entries, false); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		want := strings.Fields(c.want)
		if c.want == "" {
			want = strings.Fields(c.names)
		}
		u := Unwrap(s)
		if got := u.Names(); !slices.Equal(got, want) {
			t.Errorf("%s: %v", c.names, got)
		}
		for i, n := range want {
			x, ok := u.Tensor(n)
			h, ok2 := Describe(u, n)
			if !ok || !ok2 || x.Name != n || int(x.Data[0]) != i || len(h.Chunks[0]) != 4 {
				t.Errorf("%s: %s is %+v", c.names, n, x)
			}
		}
		if _, ok := u.Tensor("nothing"); ok {
			t.Error("a tensor is there that is not")
		}
	}
}
