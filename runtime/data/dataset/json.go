package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// readJSON reads a JSON array of rows, or a sequence of rows as in JSONL. An invalid
// row is recorded and reading continues; invalid JSON ends the file.
func (r *reader) readJSON(file string, in *input) error {
	lines := &lineCounter{r: in, line: 1}
	buffered := bufio.NewReaderSize(lines, 1<<16)
	var err error
	lines.skipped, err = skipSpace(buffered)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s is empty", file)
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", file, err)
	}
	first, _ := buffered.Peek(1) // skipSpace saw it
	isArray := first[0] == '['
	if !isArray && first[0] != '{' {
		return fmt.Errorf("%s:%d: it begins with %q, not with a JSON array or an object per line", file, lines.at(0), first)
	}
	dec := json.NewDecoder(buffered)
	broken := func(row int, err error) error {
		at, err := whereBroken(dec, err)
		if errors.Is(err, errLongRow) {
			return fmt.Errorf("%s:%d: row %d: %w", file, lines.at(at), row, err)
		}
		return fmt.Errorf("%s:%d: row %d is not valid JSON: %w", file, lines.at(at), row, err)
	}
	if isArray {
		if _, err := dec.Token(); err != nil {
			return broken(1, err)
		}
	}
	row := 1
	var raw json.RawMessage // its memory serves all rows
	for ; !r.full(); row++ {
		if lines.startRow(); !dec.More() {
			break
		}
		raw = raw[:0]
		if err := dec.Decode(&raw); err != nil {
			return broken(row, err)
		}
		line := lines.at(dec.InputOffset() - int64(len(raw)))
		if err := r.addJSON(row, raw); err != nil {
			r.problem(fmt.Sprintf("%s:%d: row %d", file, line, row), err)
		}
	}
	if r.full() {
		return nil
	}
	lines.startRow()
	if isArray {
		if _, err := dec.Token(); err != nil { // ]
			return broken(row, err)
		}
	}
	_, err = dec.Token()
	var syntax *json.SyntaxError
	if err != nil && err != io.EOF && !errors.As(err, &syntax) { // of reading, as of a compressed file that is cut short
		return broken(row, err)
	}
	if err != io.EOF {
		return fmt.Errorf("%s:%d: data after the rows", file, lines.at(dec.InputOffset()))
	}
	return nil
}

// whereBroken finds the offset of a syntax error: the decoder has buffered the value
// that it could not read.
func whereBroken(dec *json.Decoder, err error) (int64, error) {
	if errors.Is(err, errLongRow) {
		return dec.InputOffset(), err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		rest, _ := io.ReadAll(dec.Buffered())
		return dec.InputOffset() + int64(len(rest)), errors.New("the file is truncated; is the download complete?")
	}
	at := dec.InputOffset()
	if rest, e := io.ReadAll(dec.Buffered()); e == nil {
		value := bytes.TrimLeft(rest, " \t\r\n,")
		at += int64(len(rest) - len(value))
		var syntax *json.SyntaxError
		var raw json.RawMessage
		if errors.As(json.Unmarshal(value, &raw), &syntax) {
			at += syntax.Offset - 1
		}
	}
	return at, err
}

// skipSpace skips a byte order mark and white space, and returns their size.
func skipSpace(r *bufio.Reader) (n int64, err error) {
	if mark, err := r.Peek(3); err == nil && bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		r.Discard(3)
		n = 3
	}
	for {
		b, err := r.Peek(1)
		if err != nil {
			return n, err
		}
		if strings.IndexByte(" \t\r\n", b[0]) < 0 {
			return n, nil
		}
		r.Discard(1)
		n++
	}
}

// lineCounter maps offsets to line numbers, for messages. Offsets must be queried in
// ascending order; lines before the last query are dropped.
type lineCounter struct {
	r       io.Reader
	skipped int64   // bytes before offset 0
	read    int64   // bytes read
	breaks  []int64 // of the lines to come
	line    int
	from    int64 // what was read when the row began
}

// startRow begins a row, which may have maxRow bytes.
func (l *lineCounter) startRow() { l.from = l.read }

func (l *lineCounter) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if n > 0 && l.read+int64(n)-l.from > maxRow {
		return 0, errLongRow
	}
	for i, b := range p[:n] {
		if b == '\n' {
			l.breaks = append(l.breaks, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

func (l *lineCounter) at(offset int64) int {
	passed := 0
	for passed < len(l.breaks) && l.breaks[passed] < offset+l.skipped {
		passed++
	}
	l.line, l.breaks = l.line+passed, l.breaks[passed:]
	return l.line
}

// addJSON adds one row.
func (r *reader) addJSON(row int, raw json.RawMessage) error {
	if !utf8.Valid(raw) {
		return notUTF8(around(string(raw), firstInvalid(string(raw))))
	}
	r.halves(row, raw)
	if raw[0] != '{' {
		return errors.New("not a JSON object")
	}
	var err error
	if r.fields, err = membersOf(raw, r.fields); err != nil {
		return err
	}
	return r.addRow(row, r.fields)
}

// halves counts rows whose text has a half of a pair of surrogates alone (\ud800),
// which is no character: Go reads it as U+FFFD.
func (r *reader) halves(row int, raw []byte) {
	if !loneSurrogate(raw) {
		return
	}
	if r.Stats.Halves++; r.Stats.Halves == 1 {
		r.Stats.FirstHalf = fmt.Sprintf("row %d of %s", row, r.Stats.Files[r.file])
	}
}

// loneSurrogate reports whether valid JSON has a half of a pair without the other.
func loneSurrogate(raw []byte) bool {
	if !bytes.Contains(raw, []byte(`\ud`)) && !bytes.Contains(raw, []byte(`\uD`)) {
		return false
	}
	open := false // a first half was the last
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			if open {
				return true
			}
			i++
			continue
		}
		if raw[i+1] != 'u' {
			if open {
				return true
			}
			i += 2
			continue
		}
		n, _ := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
		first, second := n >= 0xD800 && n < 0xDC00, n >= 0xDC00 && n < 0xE000
		if open != second {
			return true
		}
		open = first
		i += 6
	}
	return false
}
