package dataset

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"lorac/runtime/sys/mmap"
)

// endOfText separates documents in a file of plain text.
const endOfText = "<|endoftext|>"

// readText makes rows of plain text: each document is encoded and split into chunks of
// SeqLength+1 ids; the last may be shorter. All tokens are supervised. White space
// around the documents of a file is trimmed.
func (r *reader) readText(file string, in *input) error {
	if err := r.needTokenizer(); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	path := file
	if in.packed { // a text is mapped, however large it is
		unpacked, done, err := in.unpack()
		if err != nil {
			return fmt.Errorf("cannot unpack %s: %w", file, err)
		}
		defer done()
		path = unpacked
	}
	f, err := mmap.Open(path)
	if err != nil {
		return fmt.Errorf("cannot read the data set: %w", err)
	}
	defer f.Close()
	text := strings.TrimPrefix(unsafe.String(unsafe.SliceData(f.Data), len(f.Data)), "\uFEFF")
	if n := firstInvalid(text); n >= 0 {
		return fmt.Errorf("%s:%d: %w", file, 1+strings.Count(text[:n], "\n"), notUTF8(around(text, n)))
	}
	r.note("plain text")
	documents := strings.Split(text, endOfText)
	mmap.Release(f.Data)
	row, parts := 0, 0
	bos, eos := false, false // the text spells them inside
	for _, doc := range documents {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		if len(documents) > 1 {
			doc = strings.TrimSpace(doc)
		}
		w := &writer{o: r.o}
		n := r.o.SeqLength + 1
		cut := func(least int) {
			at := 0
			for ; len(w.tokens)-at >= least; at += n {
				row++
				end := min(at+n, len(w.tokens))
				r.add(row, w.tokens[at:end], w.labels[at:end])
			}
			at = min(at, len(w.tokens))
			w.tokens, w.labels = append(w.tokens[:0], w.tokens[at:]...), append(w.labels[:0], w.labels[at:]...)
		}
		w.control(false, r.o.BOS)
		var outside error
		began, last := false, int32(-1)
		took := r.o.Tokenizer.EncodeParts(doc, func(ids []int32) {
			if len(ids) == 0 {
				return
			}
			if !began && r.o.begins(ids) {
				ids = ids[1:] // the text spells the one that was put
			}
			began = true
			if n := len(ids); n > 0 {
				bos, eos = bos || slices.Contains(ids, r.o.BOS), eos || last == r.o.EOS || slices.Contains(ids[:n-1], r.o.EOS)
				last = ids[n-1]
			}
			if err := r.inVocab(ids); err != nil && outside == nil {
				outside = fmt.Errorf("%s: %w", file, err)
			}
			w.put(true, ids...)
			cut(n)
			if parts++; parts%64 == 0 { // a text may be larger than all other memory
				mmap.Release(f.Data)
			}
		})
		r.Stats.Transient = max(r.Stats.Transient, took)
		if outside != nil {
			return outside
		}
		if last < 0 || last != r.o.EOS {
			w.control(true, r.o.EOS)
		}
		cut(2)
	}
	if bos && r.o.BOS >= 0 {
		r.Stats.Spelled.BOS++
	}
	if eos && r.o.EOS >= 0 {
		r.Stats.Spelled.EOS++
	}
	return nil
}

// firstInvalid is the offset of the first invalid UTF-8, or -1.
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
