package python

import (
	"math"
	"testing"
	"time"
)

// What Python 3 and NumPy print.
func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		got, want string
	}{
		{Float(1e-5, 32), "1e-05"}, {Float(0.0001, 32), "0.0001"}, {Float(9.9e-6, 32), "9.9e-06"}, {Float(1, 64), "1.0"}, {Float(0, 64), "0.0"},
		{Float(2.5e16, 64), "2.5e+16"}, {Float(65536, 32), "65536.0"}, {Float(0.1, 64), "0.1"},
		{Float(math.NaN(), 64), "nan"}, {Float(math.Inf(1), 64), "inf"}, {Float(math.Inf(-1), 32), "-inf"}, {Element(math.NaN()), "nan"}, {Element(1e-5), "1e-05"},
		{Element(0.12345678910), "0.12345679"}, {Element(1234.56789012), "1234.5679"}, {Bool(true), "True"}, {Bool(false), "False"}, {Quote("a\rb"), `'a\rb'`},
		{Element(65536), "65536."}, {Element(0.125), "0.125"}, {Element(1.0 / 3), "0.33333334"}, {Element(0), "0."}, {Element(10), "10."},
		{Timedelta(0), "0:00:00"}, {Timedelta(3725 * time.Second), "1:02:05"}, {Timedelta(86400 * time.Second), "1 day, 0:00:00"}, {Timedelta(200000 * time.Second), "2 days, 7:33:20"},
		{Quote("it's"), `"it's"`}, {Quote(`a"b'c`), `'a"b\'c'`}, {Quote("a\nb\\\t\x01"), `'a\nb\\\t\x01'`}, {Quote("北京"), "'北京'"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}
