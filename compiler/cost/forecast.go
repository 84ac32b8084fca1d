package cost

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"lorac/ir"
)

// Link is the network between the hosts of a job, a process on each. It carries as much
// in each direction at the same time.
type Link struct {
	Name  string
	Bits  float64       // nominal, a second, in one direction
	Delay time.Duration // until a byte has arrived
}

// wireShare is what of a nominal rate messages get: headers of Ethernet, IP and TCP, and
// their gaps.
const wireShare = 0.88

// Bytes is how many a second arrive.
func (l Link) Bytes() float64 { return wireShare * l.Bits / 8 }

// delays are those of Ethernet with TCP, by what a link carries at most.
var delays = []struct {
	bits  float64
	delay time.Duration
}{{1e9, 50 * time.Microsecond}, {10e9, 30 * time.Microsecond}, {25e9, 15 * time.Microsecond}, {100e9, 5 * time.Microsecond}, {math.Inf(1), 3 * time.Microsecond}}

// ParseLink reads a network: 10GbE, 100Mbit/s, 1Gbit/s:30ms with the delay of one
// direction.
func ParseLink(text string) (Link, error) {
	l := Link{Name: text}
	rate, delay, has := strings.Cut(text, ":")
	for unit, size := range map[string]float64{"GbE": 1e9, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9, "Tbit/s": 1e12} {
		if number, ok := strings.CutSuffix(rate, unit); ok {
			l.Bits, _ = strconv.ParseFloat(strings.TrimSpace(number), 64)
			l.Bits *= size
		}
	}
	if !(l.Bits > 0) || math.IsInf(l.Bits, 0) {
		return l, fmt.Errorf("is no rate such as 10GbE or 100Mbit/s, nor one with a delay such as 1Gbit/s:30ms")
	}
	if has {
		var err error
		if l.Delay, err = time.ParseDuration(delay); err != nil || l.Delay < 0 {
			return l, fmt.Errorf("%s is no delay such as 30ms", delay)
		}
		return l, nil
	}
	for _, d := range delays {
		if l.Bits <= d.bits {
			l.Delay = d.delay
			break
		}
	}
	return l, nil
}

// Messages that wait for each other, in the exchange of a step's gradients: the losses,
// the first piece to its owner, the last sum back, and what processes tell each other
// of how they fare, with its length.
const waits = 5

// Exchange is the seconds of a sum of gradients: of the process that sends or receives
// most. toOwners of the bytes go in rounds, each of which waits for the one before.
func (l Link) Exchange(bytes, toOwners int64, rounds int) float64 {
	delay := l.Delay.Seconds()
	return max(float64(bytes)/l.Bytes(), float64(toOwners)/l.Bytes()+float64(rounds)*delay) + waits*delay
}

// Rows is what the cost of rows depends on: sums over sequences.
type Rows struct {
	Tokens, Targets float64 // computed, and of them supervised
	Squares, Cross  float64 // tokens · tokens, supervised tokens · tokens
}

// Same is n rows of so many tokens, all supervised.
func Same(n, tokens int) Rows {
	t := float64(tokens)
	return Rows{float64(n) * t, float64(n) * t, float64(n) * t * t, float64(n) * t * t}
}

// RowFLOPs is what the root of a module takes, as a function of its rows.
type RowFLOPs struct{ token, target, square, cross float64 }

// RowFLOPsOf reads it off the module.
func RowFLOPsOf(m *ir.Module) RowFLOPs { return RowFLOPsIn(Root(m)) }

// RowFLOPsIn reads it off a function, which may be nil.
func RowFLOPsIn(f *ir.Func) RowFLOPs {
	const n = 1000
	at := func(t, s int) float64 { return Total(f, ir.Env{"T": t * n, "S": s * n, "N": 1}) }
	none, t, t2, s := at(0, 0), at(1, 0), at(2, 0), at(0, 1)
	square := (t2 - 2*t + none) / 2
	return RowFLOPs{
		token:  (t - none - square) / n,
		target: (s - none) / n,
		square: square / n / n,
		cross:  (at(1, 1) - t - s + none) / n / n,
	}
}

// Of is what rows take.
func (f RowFLOPs) Of(r Rows) float64 {
	return f.token*r.Tokens + f.target*r.Targets + f.square*r.Squares + f.cross*r.Cross
}

// Forecast is the step of a job that processes share, each with rows of its own.
type Forecast struct {
	Compute    float64 `json:"compute_seconds"` // of the process that has most to do
	Wire       float64 `json:"wire_seconds"`    // nothing is computed meanwhile
	Step       float64 `json:"step_seconds"`
	Efficiency float64 `json:"efficiency"` // of the processes' time, what they would take if none waited
}

// ForecastOf is that of processes that take mean FLOPs on average, one of them most, at
// rate FLOPs a second each, and then exchange for so many seconds.
func ForecastOf(mean, most, rate, wire float64) Forecast {
	f := Forecast{Compute: most / rate, Wire: wire}
	f.Step = f.Compute + f.Wire
	f.Efficiency = mean / rate / f.Step
	return f
}
