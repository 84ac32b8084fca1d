package train

import (
	"fmt"
	"math"
	"strings"
	"time"

	"lorac/runtime/python"
)

// lossLog prints the lines of MindFormers' MFLossMonitor (r1.3
// core/callback/callback.py), two records a print, each after the header of its
// logger, so that what reads MindFormers' logs reads these.
type lossLog struct {
	out         func(string)
	epochs      int // of the data
	epochSteps  int
	sink        int       // steps of a round; 0: no sink mode
	rows        int       // of a step
	every       int       // steps between prints
	list        bool      // the loss scale is a tensor
	losses      []float64 // of the epoch, without sink mode
	since       time.Time // the last record, or the start
	lastPrinted int
	now         func() time.Time
}

// line prints one record; number is the line of the original's source.
func (l *lossLog) line(number int, message string) {
	l.out(fmt.Sprintf("%s - mindformers[mindformers/core/callback/callback.py:%d] - INFO - %s",
		strings.Replace(l.now().Format("2006-01-02 15:04:05.000"), ".", ",", 1), number, message))
}

// stepped records a step (from 1) and prints what is due.
func (l *lossLog) stepped(step int, loss, lr, scale, norm float64, overflow bool) {
	round := 1
	if l.sink > 0 {
		if step%l.sink != 0 {
			return
		}
		round = l.sink
	}
	now := l.now()
	ms := float64(now.Sub(l.since)) / float64(time.Millisecond) / float64(round)
	l.since = now
	epoch, in := (step-1)/l.epochSteps+1, (step-1)%l.epochSteps+1
	if in == 1 {
		l.losses = l.losses[:0]
	}
	l.losses = append(l.losses, loss)
	if step-l.lastPrinted < l.every {
		return
	}
	l.lastPrinted = step

	number, value := 372, "loss: "+python.Fixed(loss, 5, 3)
	if l.sink == 0 {
		mean := 0.0
		for _, x := range l.losses {
			mean += x / float64(len(l.losses))
		}
		number, value = 377, fmt.Sprintf("loss:[%s/%s]", python.Fixed(loss, 5, 3), python.Fixed(mean, 5, 3))
	}
	l.line(number, fmt.Sprintf("{ Epoch:[%3d/%3d], step:[%5d/%5d], %s, per_step_time: %dms, lr: %s, overflow cond: %s, loss_scale: %s, global_norm: [%s]",
		epoch, l.epochs, in, l.epochSteps, value, int(ms), python.Float(lr, 32), python.Bool(overflow), l.scale(scale), python.Element(norm)))
	done := float64((epoch-1)*l.epochSteps + in)
	percent := done / float64(l.epochs) / float64(l.epochSteps) * 100
	bar := strings.Repeat("█", min(int(50*percent/100), 50))
	left := time.Duration(float64((l.epochs-epoch+1)*l.epochSteps-in) * ms * float64(time.Millisecond))
	l.line(382, fmt.Sprintf("  %4.1f%% |%-50s| %.5f samples/s/p  %s }", percent, bar, float64(l.rows)/math.Max(ms/1000, 1e-9), python.Timedelta(left)))
}

// scale writes the loss scale: a tensor where it changes, else a number.
func (l *lossLog) scale(x float64) string {
	if l.list {
		return "[" + python.Element(x) + "]"
	}
	return python.Float(x, 32)
}
