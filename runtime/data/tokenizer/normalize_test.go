package tokenizer

import "testing"

// Cases of the standard's NormalizationTest.txt, by hand; 10,000 lines are compared in
// TestSeededLines.
func TestNormalForms(t *testing.T) {
	for _, c := range []struct{ text, nfc, nfd string }{
		{"plain", "plain", "plain"},
		{"caf\u00e9", "caf\u00e9", "cafe\u0301"},
		{"cafe\u0301!", "caf\u00e9!", "cafe\u0301!"},
		{"\u212b", "\u00c5", "A\u030a"},                                    // a singleton
		{"\u1e9b\u0323", "\u1e9b\u0323", "\u017f\u0323\u0307"},             // marks in order
		{"q\u0307\u0323", "q\u0323\u0307", "q\u0323\u0307"},                // nothing to compose
		{"\u0958", "\u0915\u093c", "\u0915\u093c"},                         // excluded from composing
		{"\u1112\u1161\u11ab", "\ud55c", "\u1112\u1161\u11ab"},             // Hangul
		{"\uac00\u11a8", "\uac01", "\u1100\u1161\u11a8"},                   // … of a syllable
		{"\u0300a", "\u0300a", "\u0300a"},                                  // no starter before
		{"a\u0345\u0301", "\u00e1\u0345", "a\u0301\u0345"},                 // classes 240 and 230
		{"\u0b47\u0300\u0b3e", "\u0b47\u0300\u0b3e", "\u0b47\u0300\u0b3e"}, // what is between blocks
	} {
		for f, want := range map[form]string{"": c.text, "NFC": c.nfc, "NFD": c.nfd} {
			if got := f.apply(c.text); got != want {
				t.Errorf("%q in %q: %+q, want %+q", c.text, f, got, want)
			}
		}
	}
}
