package build

import "testing"

// What shares the rows follows from the number of processes, where the mesh does not say it.
func TestCompleteMesh(t *testing.T) {
	for _, c := range []struct {
		text      string
		processes int
		want      string
	}{{"mp=2", 8, "mp=2,dp=4"}, {"mp=2", 0, "mp=2"}, {"mp=2", 3, "mp=2"}, {"dp=2,mp=2", 8, "dp=2,mp=2"}, {"", 8, ""}, {"x=2", 8, "x=2"},
		{"os=2,mp=2", 8, "os=2,mp=2,dp=4"}, {"os=8", 8, "os=8,dp=8"}, {"os=3", 8, "os=3"}} {
		if got := CompleteMesh(c.text, c.processes); got != c.want {
			t.Errorf("%s of %d: %s, want %s", c.text, c.processes, got, c.want)
		}
	}
}
