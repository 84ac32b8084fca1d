package doctor

import (
	"strings"
	"testing"
)

// Each finding has a name, a state and words, and help stands apart from them.
func TestExamine(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no Go, no launcher
	var names []string
	fine := Examine(func(f Finding) {
		names = append(names, f.Name)
		if f.Name == "" || f.State == "" || f.Text == "" || strings.Contains(f.Text, "= help") {
			t.Errorf("%+v", f)
		}
		if f.Name == "Go" && (f.State != Fails || f.Help == "") || f.Name == "MPI" && f.State != Absent {
			t.Errorf("%+v", f)
		}
	})
	if fine {
		t.Error("without Go nothing can be compiled")
	}
	if got := strings.Join(names, " "); got != "lorac processor memory Go cache disk temporary MPI CANN" {
		t.Error(got)
	}
}

func TestOlder(t *testing.T) {
	for _, x := range []struct {
		a, b string
		want bool
	}{{"go1.25.3", "go1.26.0", true}, {"go1.26.0", "go1.26.8", false}, {"go2.0", "go1.26", false}, {"devel +x", "go1.26", false}} {
		if older(x.a, x.b) != x.want {
			t.Errorf("%s and %s", x.a, x.b)
		}
	}
}
