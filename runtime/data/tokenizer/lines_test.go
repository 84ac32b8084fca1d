package tokenizer

import "strings"

// seededLines are those of testdata/peers/tokens.py, whose ids other tokenizers gave.
func seededLines(state uint64, count int) []string {
	words := []string{
		"the", "of", "and", "to", "in", "is", "that", "low", "lower", "lowest", "new", "newer", "wide", "token", "Tokens", "HELLO", "world", "I", "you",
		"we", "it", "don", "can", "isn", "stra\u00dfe", "na\u00efve", "caf\u00e9", "\u0395\u03bb\u03bb\u03ac\u03b4\u03b1",
		"\u041c\u043e\u0441\u043a\u0432\u0430", "\u043c\u0438\u0440", "\u65e5\u672c", "\u65e5\u672c\u8a9e", "\u4e2d\u6587", "\u6f22\u5b57",
		"\ud55c\uad6d\uc5b4", "\uc548\ub155", "\u05e9\u05dc\u05d5\u05dd", "\u0633\u0644\u0627\u0645", "\u0939\u093f\u0928\u094d\u0926\u0940",
		"\u0e44\u0e17\u0e22", "\ufb01n", "\u01c5", "\u10d0", "\u10a0", "\u13a0", "\u2177",
	}
	ends := []string{
		"'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'LL", "'x", "\u2019s", "'\u017f", "'",
	}
	spaces := []string{
		" ", " ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\n ", " \n\n  ", "\u00a0", "\u3000", "\u2028", "\u000b", "\u0085", "\u200b",
		"\u2003 ",
	}
	marks := []string{
		".", ",", "!", "?", "...", "!!", "(", ")", "[", "]", "{", "}", "\"", "``", "#", "$", "%", "&", "*", "+", "-", "--", "/", ":", ";", "<", "=", ">",
		"@", "\\", "^", "_", "~", "|", "\u3002", "\uff01", "\u2014", "\u2581", "\u20ac", "\u00bd", "\u00b2", "\u0301", "e\u0301", "a\u0323\u0307",
		"q\u0307\u0323", "\u212b", "\u2126", "\u1e9b\u0323", "\u1112\u1161\u11ab", "\uac00\u11a8", "\u0f71\u0f72", "\U0001F600",
		"\U0001F468\U0000200D\U0001F469", "\U00020BB7", "\ufeff", "\u0000", "\u0001", "\x7f", "\u00ad", "\ue000",
	}
	digits := []string{
		"0", "1", "7", "12", "123", "1234", "12345", "1984", "3.14", "10,000", "\u0663", "\u0661\u0662", "\u00b3", "\u2460", "\u0967\u0968\u0969\u096a",
	}
	tokens := []string{
		"<|end|>", "<mark>", "<s>", "</s>", "<unk>", "[a]", "<0x41>",
	}
	draw := func(n int) int { // SplitMix64
		state += 0x9E3779B97F4A7C15
		z := state
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		return int((z ^ z>>31) % uint64(n))
	}
	pick := func(list []string) string { return list[draw(len(list))] }
	list := make([]string, count)
	for i := range list {
		var b strings.Builder
		for range 1 + draw(12) {
			switch k := draw(100); {
			case k < 40:
				b.WriteString(pick(words))
			case k < 50:
				b.WriteString(pick(words))
				b.WriteString(pick(ends))
			case k < 70:
				b.WriteString(pick(spaces))
			case k < 84:
				b.WriteString(pick(marks))
			case k < 92:
				b.WriteString(pick(digits))
			case k < 95:
				b.WriteString(pick(tokens))
			case k < 98:
				for range 1 + draw(10) {
					b.WriteRune(rune('a' + draw(26)))
				}
			default:
				c := rune(0xA1 + draw(0x500-0xA1))
				if c >= 0x370 && c < 0x400 {
					c = 0x3C3
				}
				b.WriteRune(c)
			}
			if draw(2) > 0 {
				b.WriteString(" ")
			}
		}
		list[i] = b.String()
	}
	return list
}
