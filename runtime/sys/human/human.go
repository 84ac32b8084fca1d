// Package human writes numbers for people. It does not know what they count.
package human

import "fmt"

// Bytes writes a size: in B, KiB or MiB, from 10 GiB on in GiB.
func Bytes(n int) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// Thousands writes a number with a comma before every three digits.
func Thousands(n int) string {
	sign, digits := "", fmt.Sprint(n)
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Count writes a number of things whose plural is regular.
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
