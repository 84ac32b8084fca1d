// Package tokenizer turns text into token ids and back, as Llama's tokenizers
// do: byte-pair encoding over characters with bytes as the fallback, or over bytes,
// read from a SentencePiece tokenizer.model, from a Hugging Face tokenizer.json, from
// Llama 3's list of ranks, or from the lists of a GGUF file. It must not know
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
	control     kind = 3 // begins or ends a text; silent when decoded
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

	places *borders // where long texts can be split

	fromModel   bool             // of a SentencePiece model
	names       map[string]int32 // pieces that no joining makes; nil until it is asked for
	base        int              // pieces of the tokenizer's own file
	extra       []int32          // ids that the files beside it add
	notes       []string
	fromBeside  map[int32]bool // ids that they name
	adds        [2]*bool       // whether texts begin with BOS and end with EOS; nil: nothing says it
	spellsOut   bool           // tokenizer_config.json has control tokens in texts split
	jsonDiffers string         // where tokenizer.json treats spaces in another way
}

// unkRule says what becomes of a character no piece has.
type unkRule struct {
	toBytes bool // its UTF-8 bytes, if each of them has a piece
	early   bool // bytes are symbols, which may join, not only a way to write what is left
	fuse    bool // unknown characters in a row become one id
	skip    bool // it is nothing, and what is around it may join

	allBytes bool // each of the 256 bytes has a piece

	bytesPrint bool // byte pieces print bytes, whether or not they are a way out
}

// Load reads a tokenizer, told by its content: a SentencePiece model, Llama 3's list
// of ranks, a tokenizer.json, or a directory that holds tokenizer.model or tokenizer.json. The files beside it
// (tokenizer_config.json, added_tokens.json, special_tokens_map.json, and
// tokenizer.json beside a model) name further tokens, which are merged as
// transformers does; where two of them contradict each other, that is an error.
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
	isJSON := looksLikeJSON(data)
	var t *Tokenizer
	switch {
	case isJSON:
		t, err = ParseJSON(data, nil)
	case looksLikeTiktoken(data):
		t, err = parseTiktoken(data, llama3Ranks)
	default:
		t, err = Parse(data)
	}
	if err == nil {
		var b *beside
		if b, err = readBeside(filepath.Dir(path), !isJSON); err == nil {
			err = t.merge(b, filepath.Base(path))
		}
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

// BaseSize is the number of ids without those that the files beside it add.
func (t *Tokenizer) BaseSize() int { return t.base }

// Special reports whether an id stands for a token that is taken out of the text
// before it is split: a control token, the unknown piece, or an added token.
func (t *Tokenizer) Special(id int32) bool {
	if id < 0 || int(id) >= len(t.pieces) {
		return false
	}
	switch p := t.pieces[id]; p.kind {
	case control, unknown:
		return true
	case userDefined:
		return strings.Trim(p.text, " \t\r\n"+blank) != ""
	}
	return false
}

// SpecialAsText is the same tokenizer, but for control tokens and added tokens in a
// text: they are spelled out, piece by piece, as any other text is.
func (t *Tokenizer) SpecialAsText() *Tokenizer {
	u := *t
	u.whole, u.added = t.whole.without(t.isAdded), t.added.without(t.isAdded)
	return &u
}

// isAdded reports whether an id is of a control token, or of one that was added to the
// vocabulary: by a file beside it, or in a tokenizer.json.
func (t *Tokenizer) isAdded(id int32) bool {
	switch t.pieces[id].kind {
	case control, unknown:
		return true
	case userDefined:
		return t.fromBeside[id] || !t.fromModel && t.Special(id)
	}
	return false
}

// PrefixEachSection is the same tokenizer, but for the text after a control token: a
// space is put before it, as LlamaTokenizer does by default, in transformers
// ("legacy") and always in MindFormers.
func (t *Tokenizer) PrefixEachSection() *Tokenizer {
	u := *t
	u.norm.everySection, u.jsonDiffers = t.norm.everySection || t.fromModel, ""
	return &u
}

// FromModel reports whether the pieces are those of a SentencePiece model.
func (t *Tokenizer) FromModel() bool { return t.fromModel }

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
	t.base, t.places = len(t.pieces), &borders{}
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
			switch {
			case t.level == nil:
				t.surface[i] = strings.ReplaceAll(p.text, blank, " ")
			case p.kind == normal:
				t.surface[i] = t.level.surface(p.text)
			default:
				t.surface[i] = p.text
			}
		}
		if p.kind == normal || p.kind == unused {
			if rest := strings.TrimLeft(p.text, blank); strings.Contains(rest, blank) {
				t.cut = false
			}
		}
	}
	if t.unkOut.toBytes {
		t.settleBytes()
	}
	if t.level != nil {
		t.noteLacking()
	}
	t.cut = t.cut && !t.unkOut.skip // what is left out may be at the start of a word
	return nil
}

// settleBytes finds out which bytes characters that no piece has can fall back to.
func (t *Tokenizer) settleBytes() {
	missing := 0
	for _, id := range t.bytes {
		if id < 0 {
			missing++
		}
	}
	if t.unkOut.allBytes = missing == 0; t.unkOut.allBytes {
		return
	}
	becomes := "is left out of texts"
	if t.unk >= 0 {
		becomes = "becomes " + t.pieces[t.unk].text
	}
	if missing == len(t.bytes) {
		t.unkOut.toBytes = false
		t.note("it falls back to bytes and has a piece for none of them: a character without a piece %s", becomes)
	} else {
		t.note("it falls back to bytes and has no piece for %d of them: a character with one of those and without a piece %s", missing, becomes)
	}
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
