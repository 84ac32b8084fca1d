package cost_test

import (
	"math"
	"testing"
	"time"

	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/ir"
)

func TestParseLink(t *testing.T) {
	for text, want := range map[string]cost.Link{
		"10GbE":          {Bits: 10e9, Delay: 30 * time.Microsecond},
		"100Mbit/s":      {Bits: 1e8, Delay: 50 * time.Microsecond},
		"1Gbit/s:30ms":   {Bits: 1e9, Delay: 30 * time.Millisecond},
		"2.5 Gbit/s:0s":  {Bits: 2.5e9},
		"200GbE":         {Bits: 200e9, Delay: 3 * time.Microsecond},
		"1Tbit/s:1us":    {Bits: 1e12, Delay: time.Microsecond},
		"9600kbit/s:1ms": {Bits: 9.6e6, Delay: time.Millisecond},
	} {
		want.Name = text
		if got, err := cost.ParseLink(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "10", "GbE", "-1GbE", "0GbE", "NaNGbE", "InfGbE", "10GB/s", "10GbE:", "10GbE:fast", "10GbE:-1ms"} {
		if l, err := cost.ParseLink(text); err == nil {
			t.Errorf("%q is %+v", text, l)
		}
	}
}

// 88 % of the rate, and five delays; long delays bound how fast rounds follow.
func TestExchange(t *testing.T) {
	l := cost.Link{Bits: 8e9, Delay: time.Millisecond}
	for _, c := range []struct {
		bytes, toOwners int64
		rounds          int
		want            float64
	}{{880e6, 440e6, 100, 1 + 0.005}, {880e6, 440e6, 900, 0.5 + 0.9 + 0.005}, {0, 0, 0, 0.005}} {
		if got := l.Exchange(c.bytes, c.toOwners, c.rounds); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%+v takes %v s", c, got)
		}
	}
	f := cost.ForecastOf(80, 100, 10, 6)
	if f.Compute != 10 || f.Step != 16 || f.Efficiency != 0.5 {
		t.Errorf("%+v", f)
	}
}

// The cost of rows is that of the graph, at any lengths.
func TestRowFLOPs(t *testing.T) {
	c, list := config.Load("../../configs/stories15M/lora_stories15M.yaml", nil)
	if list.HasErrors() {
		t.Fatal(list)
	}
	r, err := compiler.Compile(c, &compiler.Target{})
	if err != nil {
		t.Fatal(err)
	}
	f := cost.RowFLOPsOf(r.Module)
	for _, e := range []ir.Env{{"T": 1, "S": 1, "N": 1}, {"T": 77, "S": 3, "N": 1}, {"T": 256, "S": 255, "N": 1}} {
		n, s := float64(e["T"]), float64(e["S"])
		got, want := f.Of(cost.Rows{Tokens: n, Targets: s, Squares: n * n, Cross: n * s}), cost.Total(cost.Root(r.Module), e)
		if math.Abs(got-want) > 1e-9*want {
			t.Errorf("%v: %v FLOPs, the graph takes %v", e, got, want)
		}
	}
	two := f.Of(cost.Same(2, 100))
	if want := cost.Total(cost.Root(r.Module), ir.Env{"T": 200, "S": 200, "N": 2}); math.Abs(two-want) > 1e-9*want {
		t.Errorf("two rows: %v, the graph takes %v", two, want)
	}
}
