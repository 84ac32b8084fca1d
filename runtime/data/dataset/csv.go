package dataset

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// readCSV reads rows whose first line names the columns. Cells are text; a blank one is
// empty text. The columns are separated by commas, or by what separates the known names
// of the first line: semicolons or tabs.
func (r *reader) readCSV(file string, in *input) error {
	skipSpace(in.Reader)
	lines := &lineCounter{r: in, line: 1}
	cr := csv.NewReader(lines)
	cr.ReuseRecord, cr.Comma = true, r.separator(in.head)
	wrong := func(row int, err error) error {
		var at *csv.ParseError
		if errors.As(err, &at) {
			if errors.Is(at.Err, csv.ErrFieldCount) {
				return fmt.Errorf("%s:%d: row %d has another number of cells than the first line", file, at.Line, row)
			}
			return fmt.Errorf("%s:%d: row %d is not valid CSV: %w", file, at.Line, row, at.Err)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the file is truncated; is the download complete?")
		}
		return fmt.Errorf("%s: row %d: %w", file, row, err)
	}
	header, err := cr.Read()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s is empty", file)
	}
	if err != nil {
		return wrong(0, err)
	}
	var columns fields
	for _, name := range header {
		name = strings.TrimSpace(name)
		if name != "" && slices.ContainsFunc(columns, func(f field) bool { return f.key == name }) {
			return fmt.Errorf("%s:1: two columns are named %s", file, name)
		}
		columns = append(columns, field{key: strings.Clone(name)})
	}
	if _, err := r.o.format(columns); err != nil {
		return fmt.Errorf("%s:1: %w", file, err)
	}
	for row := 1; !r.full(); row++ {
		lines.startRow()
		cells, err := cr.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return wrong(row, err)
		}
		r.fields = append(r.fields[:0], columns...)
		for i, text := range cells {
			r.fields[i].text = text
			r.fields[i].used = strings.TrimSpace(text) == ""
		}
		line, _ := cr.FieldPos(0)
		if all := strings.Join(cells, ""); firstInvalid(all) >= 0 {
			err = notUTF8(around(all, firstInvalid(all)))
		} else {
			err = r.addRow(row, r.fields)
		}
		if err != nil {
			r.problem(fmt.Sprintf("%s:%d: row %d", file, line, row), err)
		}
	}
	return nil
}

// separator is what separates the cells of the first line.
func (r *reader) separator(head []byte) rune {
	line, _, _ := bytes.Cut(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), []byte("\n"))
	for _, sep := range []rune{',', ';', '\t'} {
		var fs fields
		for _, name := range strings.Split(string(line), string(sep)) {
			fs = append(fs, field{key: strings.Trim(strings.TrimSpace(name), `"`)})
		}
		if _, err := r.o.format(fs); err == nil && (len(fs) > 1 || sep == '\t') {
			return sep
		}
	}
	if bytes.IndexByte(line, '\t') >= 0 && bytes.IndexByte(line, ',') < 0 {
		return '\t'
	}
	return ','
}
