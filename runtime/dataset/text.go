package dataset

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

// endOfText separates documents in a file of plain text.
const endOfText = "<|endoftext|>"

// readText makes rows of plain text: each document is encoded whole and cut into
// pieces of SeqLength+1 ids, the last as long as it is. Everything is
// supervised. In a file of several documents space around them does not count.
func (r *reader) readText(file string) error {
	if err := r.needTokenizer(); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot read the data set: %w", err)
	}
	text := strings.TrimPrefix(string(data), "\uFEFF")
	if n := firstInvalid(text); n >= 0 {
		return fmt.Errorf("%s:%d: the text is no UTF-8; convert the file", file, 1+strings.Count(text[:n], "\n"))
	}
	r.note("plain text")
	documents := strings.Split(text, endOfText)
	row := 0
	for _, doc := range documents {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		if len(documents) > 1 {
			doc = strings.TrimSpace(doc)
		}
		w := &writer{o: r.o}
		w.text(doc)
		if err := r.inVocab(w.tokens); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for at, n := 0, r.o.SeqLength+1; at+1 < len(w.tokens); at += n {
			row++
			end := min(at+n, len(w.tokens))
			r.add(row, w.tokens[at:end], w.labels[at:end])
		}
	}
	return nil
}

// firstInvalid is where text stops being UTF-8, or -1.
func firstInvalid(text string) int {
	for i, c := range text {
		if c == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(text[i:]); n == 1 {
				return i
			}
		}
	}
	return -1
}
