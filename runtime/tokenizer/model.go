// Package tokenizer turns text into token ids and back with SentencePiece
// models of the BPE kind, as Llama uses them (Kudo & Richardson 2018).
package tokenizer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
)

// Kinds of pieces in a SentencePiece model.
const (
	normal = iota + 1
	unknown
	control
	userDefined
	unused
	byteKind
)

type piece struct {
	text  string
	score float32
	kind  int
}

// Tokenizer encodes and decodes.
type Tokenizer struct {
	pieces []piece
	ids    map[string]int32
	bytes  [256]int32 // ids of the byte pieces, -1 where there is none
	user   []string   // pieces matched before anything else

	unk, bos, eos, pad int32
	unkSurface         string

	dummyPrefix, escape, squeeze, byteFallback bool
}

// Load reads a tokenizer.model.
func Load(path string) (*Tokenizer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s is no usable SentencePiece model: %w", path, err)
	}
	return t, nil
}

// Parse reads a model from memory.
func Parse(data []byte) (*Tokenizer, error) {
	t := &Tokenizer{ids: map[string]int32{}, unk: 0, bos: 1, eos: 2, pad: -1, unkSurface: " \u2047 ", dummyPrefix: true, escape: true, squeeze: true}
	modelType := 1
	charsmap, normName := 0, ""
	err := fields(data, func(num int, v uint64, b []byte) error {
		switch num {
		case 1:
			p := piece{kind: normal}
			err := fields(b, func(num int, v uint64, b []byte) error {
				switch num {
				case 1:
					p.text = string(b)
				case 2:
					p.score = math.Float32frombits(uint32(v))
				case 3:
					p.kind = int(v)
				}
				return nil
			})
			t.pieces = append(t.pieces, p)
			return err
		case 2: // trainer_spec
			return fields(b, func(num int, v uint64, b []byte) error {
				switch num {
				case 3:
					modelType = int(v)
				case 35:
					t.byteFallback = v != 0
				case 40:
					t.unk = int32(v)
				case 41:
					t.bos = int32(v)
				case 42:
					t.eos = int32(v)
				case 43:
					t.pad = int32(v)
				case 44:
					t.unkSurface = string(b)
				}
				return nil
			})
		case 3: // normalizer_spec
			return fields(b, func(num int, v uint64, b []byte) error {
				switch num {
				case 1:
					normName = string(b)
				case 2:
					charsmap = len(b)
				case 3:
					t.dummyPrefix = v != 0
				case 4:
					t.squeeze = v != 0
				case 5:
					t.escape = v != 0
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(t.pieces) == 0 {
		return nil, errors.New("it has no pieces")
	}
	if modelType != 2 {
		kind := map[int]string{1: "unigram", 3: "word", 4: "char"}[modelType]
		return nil, fmt.Errorf("it is a %s model; Llama's are BPE, and this reader knows only those", kind)
	}
	if charsmap > 0 {
		return nil, fmt.Errorf("it normalises text by %q; Llama's models leave text as it is, and this reader knows only that", normName)
	}
	return t, t.index()
}

func (t *Tokenizer) index() error {
	for i := range t.bytes {
		t.bytes[i] = -1
	}
	for i, p := range t.pieces {
		if _, dup := t.ids[p.text]; dup {
			return fmt.Errorf("piece %q stands twice", p.text)
		}
		t.ids[p.text] = int32(i)
		switch p.kind {
		case byteKind:
			var b byte
			if n, err := fmt.Sscanf(p.text, "<0x%02X>", &b); n != 1 || err != nil {
				return fmt.Errorf("piece %q is no byte", p.text)
			}
			t.bytes[b] = int32(i)
		case userDefined:
			t.user = append(t.user, p.text)
		}
	}
	if t.byteFallback {
		for b, id := range t.bytes {
			if id < 0 {
				return fmt.Errorf("it falls back to bytes but has no piece for byte %02X", b)
			}
		}
	}
	if int(t.unk) >= len(t.pieces) || t.unk < 0 {
		return fmt.Errorf("its unknown piece %d does not exist", t.unk)
	}
	return nil
}

// fields walks over the fields of a protobuf message.
func fields(b []byte, visit func(num int, v uint64, data []byte) error) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29 {
			return errors.New("it is no protobuf message")
		}
		b = b[n:]
		var v uint64
		var data []byte
		switch tag & 7 {
		case 0:
			if v, n = binary.Uvarint(b); n <= 0 {
				return errors.New("it ends inside a number")
			}
			b = b[n:]
		case 1:
			if len(b) < 8 {
				return errors.New("it ends inside a number")
			}
			v, b = binary.LittleEndian.Uint64(b), b[8:]
		case 2:
			size, n := binary.Uvarint(b)
			if n <= 0 || size > uint64(len(b)-n) {
				return errors.New("a field is longer than the file")
			}
			data, b = b[n:n+int(size)], b[n+int(size):]
		case 5:
			if len(b) < 4 {
				return errors.New("it ends inside a number")
			}
			v, b = uint64(binary.LittleEndian.Uint32(b)), b[4:]
		default:
			return errors.New("it is no protobuf message")
		}
		if err := visit(int(tag>>3), v, data); err != nil {
			return err
		}
	}
	return nil
}

// Size is the number of pieces.
func (t *Tokenizer) Size() int { return len(t.pieces) }

// BOS, EOS, UNK and PAD are the ids of the control pieces; -1 for none.
func (t *Tokenizer) BOS() int32 { return t.bos }

// EOS ends a text.
func (t *Tokenizer) EOS() int32 { return t.eos }

// UNK stands for what cannot be written.
func (t *Tokenizer) UNK() int32 { return t.unk }

// PAD fills rows; -1 for none.
func (t *Tokenizer) PAD() int32 { return t.pad }
