package spell

import "testing"

func TestDistance(t *testing.T) {
	for _, x := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"rank", "rank", 0}, {"rank", "rnk", 1}, {"rank", "ranks", 1}, {"rank", "bank", 1},
		{"rank", "arnk", 1}, {"abcd", "badc", 2}, {"ca", "abc", 3}, {"lora_rnak", "lora_rank", 1}, {"kitten", "sitting", 3},
	} {
		if got := Distance(x.a, x.b); got != x.want {
			t.Errorf("%q to %q: %d, want %d", x.a, x.b, got, x.want)
		}
		if got := Distance(x.b, x.a); got != x.want {
			t.Errorf("%q to %q: %d, want %d", x.b, x.a, got, x.want)
		}
	}
}
