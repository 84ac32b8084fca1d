package convert

import (
	"fmt"
	"io"
	"os"
	"strings"

	"lorac/runtime/data/tokenizer"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights"
)

// maxTokenizer is more than any tokenizer takes, in bytes.
const maxTokenizer = 64 << 20

// inspectTokenizer says what a tokenizer's file holds; false for another file.
func inspectTokenizer(w io.Writer, path string, size int64) (bool, error) {
	if size > maxTokenizer || size == 0 {
		return false, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return true, err
	}
	kind := tokenizer.Recognise(data)
	switch kind {
	case "":
		return false, nil
	case "a tokenizer of llama2.c":
		inspectPieces(w, path, data)
		return true, nil
	}
	t, err := tokenizer.Load(path)
	if err != nil {
		return true, err
	}
	fmt.Fprintf(w, "%s: %s, %s\n", path, kind, summaryOf(t))
	for _, note := range t.Notes() {
		fmt.Fprintf(w, "  %s\n", note)
	}
	return true, nil
}

// inspectOwnTokenizer says what tokenizer a GGUF file holds.
func inspectOwnTokenizer(w io.Writer, path string) {
	if weights.GGUF(path) == "" {
		return
	}
	t, err := weights.Tokenizer(path)
	showOwnTokenizer(w, t, err)
}

// showOwnTokenizer says what a tokenizer of a GGUF file is; nothing of nil.
func showOwnTokenizer(w io.Writer, t *tokenizer.Tokenizer, err error) {
	switch {
	case err != nil:
		fmt.Fprintf(w, "tokenizer: %v\n", err)
	case t != nil:
		fmt.Fprintf(w, "tokenizer: %s\n", summaryOf(t))
		for _, note := range t.Notes() {
			fmt.Fprintf(w, "  %s\n", note)
		}
	}
}

// summaryOf counts ids and names those with a role.
func summaryOf(t *tokenizer.Tokenizer) string {
	list := []string{human.Thousands(t.Size()) + " ids"}
	for _, role := range []struct {
		name string
		id   int32
	}{{"begins", t.BOS()}, {"ends", t.EOS()}, {"unknown", t.UNK()}, {"pads", t.PAD()}} {
		if role.id >= 0 {
			list = append(list, fmt.Sprintf("%s %s %d", role.name, clipText(t.Token(role.id), 40), role.id))
		}
	}
	special := 0
	for id := range int32(t.Size()) {
		if t.Special(id) {
			special++
		}
	}
	return strings.Join(append(list, fmt.Sprintf("%d control and added tokens", special)), ", ")
}
