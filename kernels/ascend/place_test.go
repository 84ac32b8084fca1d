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

// tallying is a device whose numbers are all 3, and that counts what it is asked for.
type tallying struct {
	noting
	launched    []string
	downloads   int
	synchronise int
}

func (d *tallying) Launch(_ func() string, kernel string, _ int, _ ...uint64) error {
	d.launched = append(d.launched, kernel)
	return nil
}

func (d *tallying) Sync() error { d.synchronise++; return nil }

func (d *tallying) Download(b []byte, _ ascend.Ptr) error {
	d.downloads++
	copy(b, []byte{0, 0, 0x40, 0x40})
	return nil
}

// A number is read once, and a norm that was kept is neither computed nor waited for
// again, until a kernel runs.
func TestNormKept(t *testing.T) {
	d := &tallying{}
	c := ascend.New(d)
	defer c.Close()
	x, y := ascend.VecAt(1<<20, 10), ascend.VecAt(2<<20, 20)
	norm := c.Norm(x, y)
	first, second := norm.Value(), norm.Value()
	if first != 3 || second != 3 || d.downloads != 1 || d.synchronise != 1 {
		t.Errorf("%v, read %d times after %d waits", norm.Value(), d.downloads, d.synchronise)
	}
	n := len(d.launched)
	if c.Norm(x, y); len(d.launched) == n {
		t.Error("a norm that was not kept is not computed again")
	}
	norm = c.Norm(x, y)
	norm.Value()
	c.Keep(norm, x, y)
	n, waits := len(d.launched), d.synchronise
	again := c.Norm(x, y)
	clip := c.Clip(again, 1, false)
	if again.Value() != 3 || len(d.launched) != n+1 || d.synchronise != waits {
		t.Errorf("a norm that was kept is computed or waited for again: %v", d.launched[n:])
	}
	if clip.Value(); d.synchronise != waits+1 {
		t.Error("another number was not waited for")
	}
	for name, do := range map[string]func(){"a kernel ran": func() { c.Clear(x) }, "other vectors": func() {}} {
		norm := c.Norm(x, y)
		c.Keep(norm, x, y)
		do()
		n = len(d.launched)
		if name == "other vectors" {
			c.Norm(y, x)
		} else {
			c.Norm(x, y)
		}
		if len(d.launched) == n {
			t.Errorf("%s: the norm is not computed again", name)
		}
	}
	for range 200 { // places of numbers are used again, what was read from them is not
		c.Norm(y)
	}
	waits = d.synchronise
	if c.Norm(y).Value(); d.synchronise != waits+1 {
		t.Error("a new number was not waited for")
	}
}
