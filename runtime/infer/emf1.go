package infer

import (
	"regexp"
	"strings"
)

// EmF1 is EmF1Metric (MindFormers r1.3 core/metric/metric.py): how many
// predictions equal their answers, and how much of them they share, both in
// percent.
type EmF1 struct{ em, f1, n float64 }

// Add scores one prediction: cut at its first line, without space around it.
func (m *EmF1) Add(prediction, answer string) {
	prediction, _, _ = strings.Cut(strings.TrimSpace(prediction), "\n")
	m.n++
	if withoutPunctuation(prediction) == withoutPunctuation(answer) {
		m.em++
	}
	p, a := segments(prediction), segments(answer)
	if l := float64(longestCommonRun(a, p)); l > 0 {
		precision, recall := l/float64(len(p)), l/float64(len(a))
		m.f1 += 2 * precision * recall / (precision + recall)
	}
}

// Scores are the means, in percent.
func (m *EmF1) Scores() (f1, em float64) {
	n := max(m.n, 1)
	return 100 * m.f1 / n, 100 * m.em / n
}

// punctuation is what the metric leaves out. The original's list also has
// '……', which no single character equals.
const punctuation = "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』"

func withoutPunctuation(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(punctuation, r) {
			return -1
		}
		return r
	}, strings.TrimSpace(strings.ToLower(s)))
}

// segments cuts text, punctuation left out, into Chinese characters and, between
// them, into what jieba makes of the rest.
func segments(s string) []string {
	var out []string
	var rest strings.Builder
	flush := func() {
		out = append(out, latinSegments(rest.String())...)
		rest.Reset()
	}
	for _, r := range strings.TrimSpace(strings.ToLower(s)) {
		switch {
		case strings.ContainsRune(punctuation, r):
		case r >= 0x4E00 && r <= 0x9FA5:
			flush()
			out = append(out, string(r))
		default:
			rest.WriteRune(r)
		}
	}
	flush()
	return out
}

// jieba's expressions (jieba 0.42, jieba/__init__.py re_han_default and
// finalseg/__init__.py re_skip).
var (
	jiebaBlock = regexp.MustCompile(`[\x{4E00}-\x{9FD5}a-zA-Z0-9+#&._%\-]+`)
	jiebaWord  = regexp.MustCompile(`[a-zA-Z0-9]+(?:\.[0-9]+)?%?`)
)

// latinSegments is jieba.cut for text without Chinese characters, where its
// dictionary, which knows words with such characters only, plays no part:
// words and numbers whole, what stands between them in a block whole, all
// else, spaces too, character by character.
func latinSegments(s string) []string {
	var out []string
	each(jiebaBlock, s, func(block string, match bool) {
		if !match {
			for _, r := range block {
				out = append(out, string(r))
			}
			return
		}
		if len([]rune(block)) == 1 {
			out = append(out, block)
			return
		}
		each(jiebaWord, block, func(word string, _ bool) { out = append(out, word) })
	})
	return out
}

// each calls fn for the matches of an expression and the text between them.
func each(re *regexp.Regexp, s string, fn func(part string, match bool)) {
	at := 0
	for _, m := range re.FindAllStringIndex(s, -1) {
		if m[0] > at {
			fn(s[at:m[0]], false)
		}
		fn(s[m[0]:m[1]], true)
		at = m[1]
	}
	if at < len(s) {
		fn(s[at:], false)
	}
}

// longestCommonRun is the length of the longest run of segments both have.
func longestCommonRun(a, b []string) int {
	best := 0
	row := make([]int, len(b)+1)
	for _, x := range a {
		for j := len(b); j > 0; j-- {
			if row[j] = 0; x == b[j-1] {
				row[j] = row[j-1] + 1
				best = max(best, row[j])
			}
		}
	}
	return best
}
