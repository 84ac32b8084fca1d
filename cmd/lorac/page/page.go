// Package page writes a page that shows data without a network: one file with its data,
// styles and script. It must not know what the data are.
package page

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
)

//go:embed graph.html
var graph []byte

// place is where the data go.
var place = []byte("DATA_OF_THE_PAGE")

// Graph writes the page of a graph. The data are JSON in which <, > and & are escaped, so
// that no text of them ends the element they are in; the script puts them on the page as
// text alone.
func Graph(out io.Writer, data any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(true)
	if err := enc.Encode(data); err != nil {
		return err
	}
	before, after, ok := bytes.Cut(graph, place)
	if !ok {
		return errors.New("BUG: page: the template has no place for data")
	}
	for _, part := range [][]byte{before, bytes.TrimSpace(text.Bytes()), after} {
		if _, err := out.Write(part); err != nil {
			return err
		}
	}
	return nil
}
