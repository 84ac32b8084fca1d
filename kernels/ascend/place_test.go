package ascend_test

import (
	"strings"
	"testing"

	"lorac/kernels/ascend"
)

// noting is a device that keeps the notes of its launches.
type noting struct {
	next  ascend.Ptr
	notes []func() string
}

func (d *noting) Cores() (cubes, vectors int)           { return 20, 40 }
func (d *noting) Alloc(n int) (ascend.Ptr, error)       { d.next += 1 << 20; return d.next, nil }
func (d *noting) Free(ascend.Ptr) error                 { return nil }
func (d *noting) Upload(ascend.Ptr, []byte) error       { return nil }
func (d *noting) Download(b []byte, _ ascend.Ptr) error { return nil }
func (d *noting) Sync() error                           { return nil }
func (d *noting) Launch(note func() string, _ string, _ int, _ ...uint64) error {
	d.notes = append(d.notes, note)
	return nil
}

func inLayer(c *ascend.Context, i int, x, y ascend.Vec, m ascend.Mat) {
	c.Layer(i)
	c.Add(m, m, m)
	c.Gather(y, x, ascend.IntsAt(1, y.N)) // which is inlined
}

// A fault may come out when the program is elsewhere: what is said of a launch is
// where its call stands, and the layer of that function alone.
func TestPlaces(t *testing.T) {
	d := &noting{}
	c := ascend.New(d)
	defer c.Close()
	c.Describe(func(x ascend.Call) string {
		name := x.Func[strings.LastIndexByte(x.Func, '.')+1:]
		if !strings.HasSuffix(x.File, "place_test.go") || x.Line == 0 {
			t.Errorf("%+v", x)
		}
		return strings.Join([]string{x.Name, name, string(rune('0' + x.Layer))}, " ")
	})
	x, m := ascend.VecAt(1, 8), ascend.MatAt(1, 2, 16, ascend.BF16)
	inLayer(c, 3, x, x, m)
	inLayer(c, 4, x, x, m)
	c.Norm(x)
	want := []string{"Add inLayer 3", "Gather inLayer 3", "Add inLayer 4", "Gather inLayer 4", "Norm TestPlaces /", "Norm TestPlaces /"}
	if len(d.notes) != len(want) {
		t.Fatalf("%d launches, want %d", len(d.notes), len(want))
	}
	for i, note := range d.notes {
		if got := note(); got != want[i] {
			t.Errorf("launch %d is %q, want %q", i, got, want[i])
		}
	}
}
