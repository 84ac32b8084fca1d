package cost

import "testing"

func TestFLOPs(t *testing.T) {
	for n, want := range map[float64]string{0: "0 FLOP", 7: "7.000 FLOP", 999.94: "999.9 FLOP", 999.96: "1.000 kFLOP", 1.102e9: "1.102 GFLOP", 58e12: "58.00 TFLOP",
		123.5634e12: "123.6 TFLOP", 1.2025e15: "1.202 PFLOP", 3e18: "3.000 EFLOP", 5e20: "500.0 EFLOP"} {
		if got := FLOPs(n); got != want {
			t.Errorf("%g: %s, want %s", n, got, want)
		}
	}
}
