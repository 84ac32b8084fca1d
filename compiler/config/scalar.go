package config

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// The expressions of PyYAML's resolver (YAML 1.1). These are strings: 1e-5 (no dot),
// 1.0e5 (no sign in the exponent), -.5 (no leading digit).
var (
	int11   = regexp.MustCompile(`^[-+]?(0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$`)
	float11 = regexp.MustCompile(`^([-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?)$`)
	inf11   = regexp.MustCompile(`^[-+]?\.(inf|Inf|INF)$`)
	int60   = regexp.MustCompile(`^[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+$`)
	float60 = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*$`)
)

// scalar11 resolves a plain scalar by the rules of YAML 1.1, as PyYAML does:
// yes/no/on/off are booleans, leading zeros octal, 1:30 is ninety, and 1e-5 is
// a string. Integers beyond 64 bits and dates stay strings; no key has such values.
func scalar11(s string) any {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return true
	case "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		return false
	case ".nan", ".NaN", ".NAN":
		return math.NaN()
	}
	plain := strings.ReplaceAll(s, "_", "")
	switch {
	case int11.MatchString(s):
		if n, err := strconv.ParseInt(plain, 0, 64); err == nil {
			return int(n)
		}
	case float11.MatchString(s):
		if f, err := strconv.ParseFloat(plain, 64); err == nil {
			return f
		}
	case inf11.MatchString(s):
		if s[0] == '-' {
			return math.Inf(-1)
		}
		return math.Inf(1)
	case int60.MatchString(s):
		if f := sexagesimal(plain); math.Abs(f) < 1<<53 {
			return int(f)
		}
	case float60.MatchString(s):
		return sexagesimal(plain)
	}
	return s
}

// sexagesimal reads a number of base 60, the last digit with a fraction.
func sexagesimal(s string) float64 {
	sign := 1.0
	if s[0] == '-' {
		sign = -1
	}
	total := 0.0
	for _, part := range strings.Split(strings.TrimLeft(s, "+-"), ":") {
		f, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return math.Inf(1)
		}
		total = total*60 + f
	}
	return sign * total
}

// pyFloat reads what Python's float() reads, for scalars that are strings in YAML
// 1.1, like 1e-5. It rejects infinities and NaN.
func pyFloat(s string) (float64, bool) {
	if strings.ContainsAny(s, "xXpP") {
		return 0, false // hexadecimal floats are Go syntax
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
}

// dotted spells a number so that YAML 1.1 reads it as one: 1.e-5 for 1e-5.
func dotted(s string) string {
	mantissa, exp, ok := strings.Cut(strings.ToLower(s), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += "."
	}
	if i := strings.Index(mantissa, "."); i == 0 || strings.TrimLeft(mantissa[:i], "+-") == "" {
		mantissa = mantissa[:i] + "0" + mantissa[i:]
	}
	if !ok {
		return mantissa
	}
	if !strings.ContainsAny(exp[:min(1, len(exp))], "+-") {
		exp = "+" + exp
	}
	return mantissa + "e" + exp
}
