package rt

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"lorac/kernels"
)

// The rule of DynamicLossScaleUpdateCell with scale 16, factor 2, window 3,
// step by step on paper: an overflow halves the scale and starts the count
// anew, three good steps double it, it never falls below 1.
func TestDynamicScale(t *testing.T) {
	x := newScaler(LossScale{Type: "dynamic", Value: 16, Factor: 2, Window: 3})
	var got []string
	for _, c := range "..!...!!!!!!..." {
		x.next(c == '!')
		got = append(got, fmt.Sprint(x.scale))
	}
	// Steps 1, 2 good; 3 overflows; 4, 5 good, 6 is 3 steps behind 3; then six
	// overflows from 16; the third good step behind the last doubles.
	want := "16 16 8 8 8 16 8 4 2 1 1 1 1 1 2"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("scales %s, want %s", s, want)
	}
	if x.updates != 8 {
		t.Errorf("%d updates, 8 steps were good", x.updates)
	}
}

func TestStaticScaleStays(t *testing.T) {
	x := newScaler(LossScale{Value: 1024})
	for range 5000 {
		x.next(false)
	}
	x.next(true)
	if x.scale != 1024 || x.updates != 5000 || x.stuck != 1 {
		t.Errorf("scale %v, %d updates, stuck %d", x.scale, x.updates, x.stuck)
	}
	if x.next(false); x.stuck != 0 {
		t.Error("a good step does not end the row of overflows")
	}
	if newScaler(LossScale{}).scale != 1 {
		t.Error("no scale is a scale of 1")
	}
}

// 1000 halves to 500, 500 to 250, cut to 200, 200 to 100, then 50 and steps of
// half of 20 (r1.3 wrapper/adaptive_loss_scale.py, _get_window_list).
func TestAdaptiveWindows(t *testing.T) {
	if got := fmt.Sprint(adaptiveWindows(20, 1000)); got != "[20 30 40 50 100 200 500 1000]" {
		t.Error(got)
	}
	x := newScaler(LossScale{Type: "adaptive", Value: 4096, Factor: 2, Window: 30, MinWindow: 20, MaxWindow: 1000})
	if x.at != 1 || x.window != 30 {
		t.Fatalf("begins at %d with window %d", x.at, x.window)
	}
	for range 90 { // three increases, 30 steps apart
		x.next(false)
	}
	if x.scale != 4096*8 || x.window != 40 {
		t.Errorf("after three increases: scale %v, window %d, want %d and 40", x.scale, x.window, 4096*8)
	}
	for range 3 {
		x.next(true)
	}
	if x.scale != 4096 || x.window != 1 {
		t.Errorf("after three overflows: scale %v, window %d, want 4096 and 1", x.scale, x.window)
	}
	for range 3 { // every step increases now; the third takes the smallest window of the list
		x.next(false)
	}
	if x.scale != 4096*8 || x.window != 20 {
		t.Errorf("behind that: scale %v, window %d, want %d and 20", x.scale, x.window, 4096*8)
	}
}

func TestScaleIsRemembered(t *testing.T) {
	s := LossScale{Type: "adaptive", Value: 4096, Factor: 2, Window: 30, MinWindow: 20, MaxWindow: 1000}
	a, b := newScaler(s), newScaler(s)
	for i := range 77 {
		a.next(i%13 == 0)
	}
	if err := b.restore(a.state()); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		a.next(i%41 == 0)
		b.next(i%41 == 0)
		if a.state() != b.state() {
			t.Fatalf("step %d: %s and %s", i, a.state(), b.state())
		}
	}
	for _, bad := range []string{"", "1 2", "0 1 1 1 1 1 1 1 1", "NaN 1 1 1 1 1 1 1 1", "1 x 1 1 1 1 1 1 1", "8 1 1 1 1 99 1 1 1", "8 1 1 1 1 -2 1 1 1"} {
		if newScaler(s).restore(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// A gradient that is not finite stops the update and is cleared; else
// gradients come back to their own size.
func TestReady(t *testing.T) {
	k := kernels.New(1)
	defer k.Close()
	grad := &Stack{Names: []string{"x"}, Rows: 1, Cols: 3, Data: []float32{8, -16, 4}}
	r := &Run{k: k, job: &Job{}, scaler: newScaler(LossScale{Value: 8}), load: &loader{params: []*Stack{{Names: []string{"x"}, Rows: 1, Cols: 3, grad: grad}}}}
	if !r.Ready() || fmt.Sprint(grad.Data) != "[1 -2 0.5]" {
		t.Errorf("gradients %v", grad.Data)
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		grad.Data[1] = float32(bad)
		if r.Ready() || fmt.Sprint(grad.Data) != "[0 0 0]" {
			t.Errorf("%v passes: %v", bad, grad.Data)
		}
	}
	grad.Data[0] = math.MaxFloat32 // large is not infinite, its square neither
	if !r.Ready() {
		t.Error("the largest number counts as an overflow")
	}
}
