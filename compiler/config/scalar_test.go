package config

import (
	"math"
	"testing"
)

// The right-hand sides are what PyYAML 6.0.3 makes of the left-hand ones, but
// for dates, which stay strings here.
func TestScalar11IsPyYAML(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		in   string
		want any
	}{
		{"1e-5", "1e-5"}, {"1.e-5", 1e-5}, {"1.0e-5", 1e-5}, {"1.0e5", "1.0e5"}, {"1.e+5", 1e5}, {"1E-5", "1E-5"},
		{"1.5E+3", 1500.0}, {"-.5", "-.5"}, {".5", 0.5}, {"+.5", "+.5"}, {"-1.5", -1.5}, {"+1.5", 1.5},
		{"1_000", 1000}, {"1_000.5", 1000.5}, {"0x1F", 31}, {"0b101", 5}, {"017", 15}, {"-017", -15}, {"08", "08"}, {"0o17", "0o17"},
		{"0", 0}, {"-0", 0}, {"+7", 7}, {"00", 0}, {"1:30", 90}, {"1:30.5", 90.5}, {"-1:30", -90}, {"190:20:30", 685230},
		{".inf", inf}, {"-.inf", -inf}, {"+.Inf", inf}, {".INF", inf}, {"nan", "nan"}, {"inf", "inf"},
		{"yes", true}, {"No", false}, {"ON", true}, {"off", false}, {"y", "y"}, {"n", "n"}, {"Yes", true}, {"TRUE", true},
		{"tRue", "tRue"}, {"true", true}, {"False", false}, {"Flase", "Flase"},
		{"~", nil}, {"null", nil}, {"Null", nil}, {"NULL", nil}, {"nULL", "nULL"}, {"None", "None"}, {"", nil},
		{"1.", 1.0}, {"1.e5", "1.e5"}, {".5e-3", 0.0005}, {".e5", ".e5"}, {"1.2.3", "1.2.3"}, {"1-2", "1-2"},
		{"0x", "0x"}, {"0b12", "0b12"}, {"1__0", 10}, {"_1", "_1"}, {"1_", 1}, {"12e03", "12e03"}, {"-1.e-8", -1e-8},
		{"685.230_15e+03", 685230.15}, {"6.8523015e+5", 685230.15}, {"0.", 0.0}, {"5e-5", "5e-5"}, {"+1", 1},
		{"9223372036854775807", math.MaxInt64}, {"1e10", "1e10"}, {".5_0", 0.5}, {"1:60", "1:60"}, {"0:30", "0:30"},
		{"5:00", 300}, {"1.5:30", "1.5:30"}, {"2001-01-01", "2001-01-01"},
	} {
		if got := scalar11(c.in); got != c.want {
			t.Errorf("%q is read as %T %v, PyYAML reads %T %v", c.in, got, got, c.want, c.want)
		}
	}
	if f, ok := scalar11(".nan").(float64); !ok || !math.IsNaN(f) {
		t.Error(".nan is not read as NaN")
	}
	if got := scalar11("99999999999999999999"); got != "99999999999999999999" {
		t.Errorf("an integer beyond 64 bits is read as %v", got)
	}
}

// What the help of yaml-float proposes must be a float to PyYAML, and the same one.
func TestDottedIsAFloat(t *testing.T) {
	for _, s := range []string{"1e-5", "1E5", "5e+2", "1.5e5", ".5e3", "-1e-8", "-.5", "+.5", "3e0"} {
		want, ok := pyFloat(s)
		if !ok {
			t.Fatalf("%q is no float", s)
		}
		if got := scalar11(dotted(s)); got != want {
			t.Errorf("%q is proposed as %q, which reads as %v", s, dotted(s), got)
		}
	}
}

func TestPyFloat(t *testing.T) {
	for _, s := range []string{"", "x", "0x1p-2", "inf", "nan", "1e999", "1e", "--1", "1 2"} {
		if f, ok := pyFloat(s); ok {
			t.Errorf("%q is read as %v", s, f)
		}
	}
	if f, ok := pyFloat("1_0e-1"); !ok || f != 1 {
		t.Errorf("1_0e-1 is read as %v", f)
	}
}
