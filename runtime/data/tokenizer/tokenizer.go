// Package tokenizer turns text into token ids and back, as Llama's tokenizers
// do: byte-pair encoding with bytes as the fallback, read from a SentencePiece
// tokenizer.model or from a Hugging Face tokenizer.json. It must not know
// prompts, data sets or models. It reports the ids that begin and end a text, but
// never adds them.
package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// kind is what a piece is for; the numbers are SentencePiece's
// (sentencepiece_model.proto, SentencePiece.Type).
type kind byte

const (
	normal      kind = 1
	unknown     kind = 2 // stands for what cannot be written
	control     kind = 3 // begins or ends a text; never read from one, silent when decoded
	userDefined kind = 4 // read from the text before anything else, never joined
	unused      kind = 5
	byteValue   kind = 6 // <0x00> to <0xFF>
)

// piece is one entry of the vocabulary. A tokenizer.json may leave ids out;
// their kind is 0.
type piece struct {
	text string
	kind kind
}

// Tokenizer encodes and decodes. It does not change once loaded, and may be
// used by any number of goroutines.
type Tokenizer struct {
	pieces  []piece
	surface []string // what each id prints, with blanks as blanks
	bytes   [256]int32

	unk, bos, eos, pad int32

	rules  joiner   // which symbols join to which
	added  *matcher // pieces taken out of the text before it is split
	whole  *matcher // of these, those looked for before the text is normalised
	norm   normalizer
	unkOut unkRule
	cut    bool // no piece has a blank after its first other character

	splitBlanks bool // no piece reaches over the start of a blank
	wholeWords  bool // a word that is a piece is not split at all
	stripFirst  bool // Decode drops the blank of the first piece
	stripText   bool // Decode drops the first space of the text, whatever made it

	level *byteLevel // text is written byte by byte; nil if not
}

// unkRule says what becomes of a character no piece has.
type unkRule struct {
	toBytes bool // its UTF-8 bytes, if every one has a piece
	early   bool // bytes are symbols, which may join, not only a way to write what is left
	fuse    bool // unknown characters in a row become one id

	bytesPrint bool // byte pieces print bytes, whether or not they are a way out
}

// Load reads a tokenizer: a SentencePiece model, a tokenizer.json, or a
// directory that holds tokenizer.model or tokenizer.json. Beside a
// tokenizer.json, tokenizer_config.json is read for the names of the control
// pieces.
func Load(path string) (*Tokenizer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		dir := path
		for _, name := range []string{"tokenizer.model", "tokenizer.json"} {
			path = filepath.Join(dir, name)
			if _, err = os.Stat(path); err == nil {
				break
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s holds neither tokenizer.model nor tokenizer.json; give the tokenizer's file", dir)
		}
		if err != nil {
			return nil, err
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var t *Tokenizer
	if looksLikeJSON(data) {
		var config []byte
		config, err = os.ReadFile(filepath.Join(filepath.Dir(path), "tokenizer_config.json"))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			return nil, err
		}
		t, err = ParseJSON(data, config)
	} else {
		t, err = Parse(data)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use %s as a tokenizer: %w", path, err)
	}
	return t, nil
}

// looksLikeJSON tells a tokenizer.json from a model, whose first byte is a
// protobuf tag.
func looksLikeJSON(data []byte) bool {
	data = bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), " \t\r\n")
	return len(data) > 0 && data[0] == '{'
}

// Size is the number of ids: every id is below it.
func (t *Tokenizer) Size() int { return len(t.pieces) }

// Bytes is the approximate size in memory.
func (t *Tokenizer) Bytes() int {
	n := t.rules.bytes()
	for i, p := range t.pieces {
		n += 40 + (len(p.text)+7)/8*8 // two strings and a kind
		if t.surface[i] != p.text {
			n += (len(t.surface[i]) + 7) / 8 * 8
		}
	}
	return n
}

// BOS is the id that begins a text, or -1.
func (t *Tokenizer) BOS() int32 { return t.bos }

// EOS is the id that ends a text, or -1.
func (t *Tokenizer) EOS() int32 { return t.eos }

// UNK is the id of what cannot be written, or -1.
func (t *Tokenizer) UNK() int32 { return t.unk }

// PAD is the id that fills rows, or -1.
func (t *Tokenizer) PAD() int32 { return t.pad }

// Token is how the vocabulary spells an id: "▁the", "<s>", "<0x0A>".
// It is "" for an unknown id.
func (t *Tokenizer) Token(id int32) string {
	if id < 0 || int(id) >= len(t.pieces) {
		return ""
	}
	return t.pieces[id].text
}

// finish derives what follows from the pieces, for both kinds of file.
func (t *Tokenizer) finish() error {
	for i := range t.bytes {
		t.bytes[i] = -1
	}
	t.surface = make([]string, len(t.pieces))
	t.cut = true
	for i, p := range t.pieces {
		switch p.kind {
		case byteValue:
			b, ok := byteOf(p.text)
			if !ok {
				return fmt.Errorf("the piece %q is said to be a byte", p.text)
			}
			t.bytes[b] = int32(i)
			t.surface[i] = string([]byte{b})
			continue
		case normal, userDefined, unused:
			t.surface[i] = strings.ReplaceAll(p.text, blank, " ")
			if t.level != nil && p.kind == normal {
				t.surface[i] = t.level.surface(p.text)
			}
		}
		if p.kind == normal || p.kind == unused {
			if rest := strings.TrimLeft(p.text, blank); strings.Contains(rest, blank) {
				t.cut = false
			}
		}
	}
	if t.unkOut.toBytes {
		for b, id := range t.bytes {
			if id < 0 {
				return fmt.Errorf("it falls back to bytes, but has no piece <0x%02X>", b)
			}
		}
	}
	return nil
}

// byteOf reads the name of a byte piece: <0x0A>.
func byteOf(text string) (byte, bool) {
	const digits = "0123456789ABCDEF"
	if len(text) != 6 || text[:3] != "<0x" || text[5] != '>' {
		return 0, false
	}
	high, low := strings.IndexByte(digits, text[3]), strings.IndexByte(digits, text[4])
	if high < 0 || low < 0 {
		return 0, false
	}
	return byte(high<<4 | low), true
}
