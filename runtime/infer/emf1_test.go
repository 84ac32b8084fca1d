package infer

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// The example in the docstring of EmF1Metric, and cases scored by hand.
func TestEmF1(t *testing.T) {
	var m EmF1
	m.Add("I love Beijing, because it's beautiful", "I love Beijing.")
	m.Add("Hello world。", "Hello world")
	// Of the first pair i, ␣, love, ␣, beijing are shared: 5 of the 14 segments
	// of the prediction and of the 6 of the answer, so F1 = 2·5/(14+6) = ½.
	if f1, em := m.Scores(); math.Abs(f1-75) > 1e-9 || em != 50 {
		t.Errorf("F1 %v, Em %v; the docstring says 75 and 50", f1, em)
	}
	for _, c := range []struct {
		prediction, answer string
		f1, em             float64
	}{
		{"郑州市", "郑州市", 100, 100},
		{"郑州市。", "郑州市", 100, 100},
		{"郑州", "郑州市", 80, 0}, // precision 1, recall 2/3
		{"  郑州市\n它在河南", "郑州市", 100, 100},
		{"在郑州市", "郑州 市", 50, 0}, // 郑州 shared, of four segments each: a space is one
		{"", "x", 0, 0},
		{"PARIS", "paris", 100, 100},
		{"1.5% up", "up 1.5%", 100.0 / 3, 0}, // three segments each, one in a row shared
	} {
		var m EmF1
		m.Add(c.prediction, c.answer)
		f1, em := m.Scores()
		if math.Abs(f1-c.f1) > 1e-9 || em != c.em {
			t.Errorf("%q for %q: F1 %v, Em %v, want %v and %v", c.prediction, c.answer, f1, em, c.f1, c.em)
		}
	}
}

// What jieba.cut gives for text without Chinese characters, by its expressions.
func TestSegments(t *testing.T) {
	for text, want := range map[string]string{
		"Hello, World":       "hello|,| |world",
		"3.14 is 50% of c++": "3.14| |is| |50%| |of| |c", // + is punctuation
		"中文abc 12中":          "中|文|abc| |12|中",
		"a.b":                "a|.|b",
		"#&":                 "#&",
		"v1.2.3":             "v1.2|.|3",
		"":                   "",
	} {
		if got := strings.Join(segments(text), "|"); got != want {
			t.Errorf("%q is cut into %s, want %s", text, got, want)
		}
	}
	if fmt.Sprint(longestCommonRun(strings.Split("abcdef", ""), strings.Split("zcdexab", ""))) != "3" {
		t.Error("the longest run of abcdef and zcdexab is cde")
	}
}

// What EmF1Metric of MindFormers 1.3.2 made of texts that its stories260K generated
// (testdata/peers/mindformers_run.py).
func TestEmF1OfMindFormers(t *testing.T) {
	var m EmF1
	m.Add("little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. She wanted to play with it, but it was too high.",
		"little girl named Lily. She loved to play outside in the park. One day, she")
	m.Add("ball. He liked to play with his ball. He liked to play with his ball. He liked to play with his ball. He liked to play with his ball.", "ball. He liked to play with his toys")
	m.Add("park. They liked to play with their toys and run around the park. They saw a big box with a big box. They wanted to play with the box.", "park. They like to play")
	m.Add("the park. She was very excited to see what was inside. She saw a big box and wanted to see what was inside. She wanted to see what", "the park with her mom")
	if f1, em := m.Scores(); math.Abs(f1-31.375317346097248) > 1e-12 || em != 0 {
		t.Errorf("F1 %v, Em %v", f1, em)
	}
}
