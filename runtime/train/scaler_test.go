package train

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"lorac/runtime/job"
)

// The rule of DynamicLossScaleUpdateCell with scale 16, factor 2, window 3,
// step by step on paper: an overflow halves the scale and starts the count
// again, three good steps double it, it never falls below 1.
func TestDynamicScale(t *testing.T) {
	x := NewScaler(job.LossScale{Type: "dynamic", Value: 16, Factor: 2, Window: 3})
	var got []string
	for _, c := range "..!...!!!!!!..." {
		x.Next(c == '!')
		got = append(got, fmt.Sprint(x.Scale))
	}
	// Steps 1, 2 good; 3 overflows; 4, 5 good, 6 is 3 steps after 3; then six
	// overflows from 16; the third good step after the last doubles.
	want := "16 16 8 8 8 16 8 4 2 1 1 1 1 1 2"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("scales %s, want %s", s, want)
	}
	if x.Updates != 8 {
		t.Errorf("%d updates, 8 steps were good", x.Updates)
	}
}

func TestStaticScaleStays(t *testing.T) {
	x := NewScaler(job.LossScale{Value: 1024})
	for range 5000 {
		x.Next(false)
	}
	x.Next(true)
	for range 9 { // all are skipped, as in MindFormers
		x.Next(true)
	}
	if x.Scale != 1024 || x.Updates != 5000 || x.Stuck() {
		t.Errorf("scale %v, %d updates, stuck %v", x.Scale, x.Updates, x.Stuck())
	}
	if NewScaler(job.LossScale{}).Scale != 1 {
		t.Error("no scale is a scale of 1")
	}
}

// A scale is held in f32: what is too large is infinite, and overflows have it stay so.
func TestInfiniteScale(t *testing.T) {
	x := NewScaler(job.LossScale{Type: "dynamic", Value: 1e38, Factor: 2, Window: 1})
	for range 2 {
		x.Next(false)
	}
	if !x.Infinite() {
		t.Fatalf("1e38, doubled twice, is %v", x.Scale)
	}
	for range 9 {
		x.Next(true)
	}
	if !x.Infinite() || x.Stuck() || x.Updates != 2 {
		t.Errorf("scale %v, %d updates, stuck %v", x.Scale, x.Updates, x.Stuck())
	}
	y := NewScaler(job.LossScale{Type: "dynamic", Value: 1, Factor: 2, Window: 1})
	if err := y.Restore(x.State()); err != nil || !y.Infinite() || !NewScaler(job.LossScale{Value: 1e39}).Infinite() {
		t.Errorf("restored: %v, %v", y.Scale, err)
	}
	text, err := json.Marshal(Metric{LossScale: x.Scale, GradNorm: 1})
	if err != nil || !strings.Contains(string(text), `"loss_scale":1e999,`) {
		t.Errorf("%s %v", text, err)
	}
}

// 1000 halves to 500, 500 to 250, cut to 200, 200 to 100, then 50 and steps of
// half of 20 (r1.3 wrapper/adaptive_loss_scale.py, _get_window_list).
func TestAdaptiveWindows(t *testing.T) {
	if got := fmt.Sprint(adaptiveWindows(20, 1000)); got != "[20 30 40 50 100 200 500 1000]" {
		t.Error(got)
	}
	x := NewScaler(job.LossScale{Type: "adaptive", Value: 4096, Factor: 2, Window: 30, MinWindow: 20, MaxWindow: 1000})
	if x.at != 1 || x.window != 30 {
		t.Fatalf("begins at %d with window %d", x.at, x.window)
	}
	for range 90 { // three increases, 30 steps apart
		x.Next(false)
	}
	if x.Scale != 4096*8 || x.window != 40 {
		t.Errorf("after three increases: scale %v, window %d, want %d and 40", x.Scale, x.window, 4096*8)
	}
	for range 3 {
		x.Next(true)
	}
	if x.Scale != 4096 || x.window != 1 {
		t.Errorf("after three overflows: scale %v, window %d, want 4096 and 1", x.Scale, x.window)
	}
	for range 3 { // every step increases now; the third takes the smallest window of the list
		x.Next(false)
	}
	if x.Scale != 4096*8 || x.window != 20 {
		t.Errorf("after that: scale %v, window %d, want %d and 20", x.Scale, x.window, 4096*8)
	}
}

func TestScaleIsRemembered(t *testing.T) {
	s := job.LossScale{Type: "adaptive", Value: 4096, Factor: 2, Window: 30, MinWindow: 20, MaxWindow: 1000}
	a, b := NewScaler(s), NewScaler(s)
	for i := range 77 {
		a.Next(i%13 == 0)
	}
	if err := b.Restore(a.State()); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		a.Next(i%41 == 0)
		b.Next(i%41 == 0)
		if a.State() != b.State() {
			t.Fatalf("step %d: %s and %s", i, a.State(), b.State())
		}
	}
	for _, bad := range []string{"", "1 2", "0 1 1 1 1 1 1 1 1", "NaN 1 1 1 1 1 1 1 1", "1 x 1 1 1 1 1 1 1", "8 1 1 1 1 99 1 1 1", "8 1 1 1 1 -2 1 1 1"} {
		if NewScaler(s).Restore(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
