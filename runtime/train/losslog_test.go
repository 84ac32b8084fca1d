package train

import (
	"strings"
	"testing"
	"time"
)

// The lines of MFLossMonitor, composed by hand from its format strings: four
// steps an epoch, two epochs, a step of 8 rows every 250 ms.
func TestLossLog(t *testing.T) {
	clock := time.Date(2024, 12, 14, 9, 5, 3, 42e6, time.UTC)
	var got []string
	log := func(sink, every int) *lossLog {
		got = nil
		return &lossLog{out: func(s string) { got = append(got, s) }, now: func() time.Time { return clock }, since: clock,
			epochs: 2, epochSteps: 4, sink: sink, rows: 8, every: every}
	}
	step := func(l *lossLog, n int, loss float64) {
		clock = clock.Add(250 * time.Millisecond)
		l.stepped(n, loss, 1e-5, 1, 0.5, false)
	}
	l := log(0, 1)
	for n, loss := range []float64{2, 1, 3, 2, 10.5} {
		step(l, n+1, loss)
	}
	const header = " - mindformers[mindformers/core/callback/callback.py:"
	want := []string{
		"2024-12-14 09:05:03,292" + header + "377] - INFO - { Epoch:[  1/  2], step:[    1/    4], loss:[2.000/2.000], per_step_time: 250ms, lr: 1e-05, overflow cond: False, loss_scale: 1.0, global_norm: [0.5]",
		"2024-12-14 09:05:03,292" + header + "382] - INFO -   12.5% |██████                                            | 32.00000 samples/s/p  0:00:01 }",
		"2024-12-14 09:05:03,542" + header + "377] - INFO - { Epoch:[  1/  2], step:[    2/    4], loss:[1.000/1.500], per_step_time: 250ms, lr: 1e-05, overflow cond: False, loss_scale: 1.0, global_norm: [0.5]",
	}
	for i, w := range want {
		if got[i] != w {
			t.Errorf("line %d\n%s, want\n%s", i+1, got[i], w)
		}
	}
	if !strings.Contains(got[8], "Epoch:[  2/  2], step:[    1/    4], loss:[10.500/10.500]") || !strings.Contains(got[9], " 62.5% |"+strings.Repeat("█", 31)+strings.Repeat(" ", 19)+"|") {
		t.Errorf("a new epoch begins its mean again:\n%s\n%s", got[8], got[9])
	}

	l = log(2, 1)
	l.list = true
	for n := 1; n <= 4; n++ {
		step(l, n, float64(n))
	}
	if len(got) != 4 || !strings.Contains(got[2], "372] - INFO - { Epoch:[  1/  2], step:[    4/    4], loss: 4.000, per_step_time: 250ms, lr: 1e-05, overflow cond: False, loss_scale: [1.], global_norm: [0.5]") {
		t.Errorf("sink mode prints the last step of a round:\n%s", strings.Join(got, "\n"))
	}
	l = log(0, 3)
	for n := 1; n <= 7; n++ {
		step(l, n, 1)
	}
	if len(got) != 4 || !strings.Contains(got[0], "step:[    3/") || !strings.Contains(got[2], "step:[    2/    4]") {
		t.Errorf("per_print_times 3 prints steps 3 and 6:\n%s", strings.Join(got, "\n"))
	}
}
