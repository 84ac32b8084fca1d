package tokenizer

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"lorac/runtime/sys/protowire"
)

// spModel is what a ModelProto (sentencepiece_model.proto) says that matters
// here, with the defaults of that file.
type spModel struct {
	pieces []piece
	scores []float32

	modelType                               uint64 // trainer_spec
	byteFallback, blankAsSuffix             bool
	unkPiece, bosPiece, eosPiece, padPiece  string
	unkSurface                              string
	charsMap                                []byte // normalizer_spec
	dummyPrefix, squeezeBlanks, escapeBlank bool
}

// Parse reads a SentencePiece model from memory. It must be of the BPE kind, as
// Llama's are; others are refused by name.
func Parse(data []byte) (*Tokenizer, error) {
	m := spModel{
		modelType: 1, unkPiece: "<unk>", bosPiece: "<s>", eosPiece: "</s>", padPiece: "<pad>", unkSurface: " \u2047 ",
		dummyPrefix: true, squeezeBlanks: true, escapeBlank: true,
	}
	if err := m.read(data); err != nil {
		return nil, err
	}
	if err := m.supported(); err != nil {
		return nil, err
	}
	t, err := m.tokenizer()
	if err == nil && m.byteFallback && !t.unkOut.allBytes {
		return nil, fmt.Errorf("it falls back to bytes, but has no piece <0x%02X>", slices.Index(t.bytes[:], -1))
	}
	return t, err
}

func (m *spModel) read(data []byte) error {
	return protowire.Each(data, func(field int, _ uint64, data []byte) error {
		switch field {
		case 1:
			return m.readPiece(data)
		case 2:
			return m.readTrainer(data)
		case 3:
			return m.readNormalizer(data)
		}
		return nil
	})
}

func (m *spModel) readPiece(data []byte) error {
	p, score, number := piece{kind: normal}, float32(0), len(m.pieces)
	err := protowire.Each(data, func(field int, v uint64, data []byte) error {
		switch field {
		case 1:
			p.text = string(data)
		case 2:
			score = math.Float32frombits(uint32(v))
		case 3:
			if v < uint64(normal) || v > uint64(byteValue) {
				return fmt.Errorf("piece %d has the unknown type %d", number, v)
			}
			p.kind = kind(v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if p.text == "" {
		return fmt.Errorf("piece %d is empty", number)
	}
	if score != score {
		return fmt.Errorf("the score of piece %d is not a number", number)
	}
	m.pieces = append(m.pieces, p)
	m.scores = append(m.scores, score)
	return nil
}

func (m *spModel) readTrainer(data []byte) error {
	return protowire.Each(data, func(field int, v uint64, data []byte) error {
		switch field {
		case 3:
			m.modelType = v
		case 24:
			m.blankAsSuffix = v != 0
		case 35:
			m.byteFallback = v != 0
		case 44:
			m.unkSurface = octal.ReplaceAllStringFunc(string(data), fromOctal)
		case 45:
			m.unkPiece = string(data)
		case 46:
			m.bosPiece = string(data)
		case 47:
			m.eosPiece = string(data)
		case 48:
			m.padPiece = string(data)
		}
		return nil
	})
}

// octal is how a model's trainer may have been told the surface of the unknown piece:
// in the digits that a text format has for bytes (llama2.c's does so).
var octal = regexp.MustCompile(`(\\[0-3][0-7]{2})+`)

func fromOctal(digits string) string {
	var b []byte
	for part := range strings.SplitSeq(digits[1:], `\`) {
		n, _ := strconv.ParseUint(part, 8, 8)
		b = append(b, byte(n))
	}
	if !utf8.Valid(b) {
		return digits
	}
	return string(b)
}

func (m *spModel) readNormalizer(data []byte) error {
	return protowire.Each(data, func(field int, v uint64, data []byte) error {
		switch field {
		case 2:
			m.charsMap = data
		case 3:
			m.dummyPrefix = v != 0
		case 4:
			m.squeezeBlanks = v != 0
		case 5:
			m.escapeBlank = v != 0
		}
		return nil
	})
}

func (m *spModel) supported() error {
	const bpe = 2
	switch {
	case len(m.pieces) == 0:
		return errors.New("it has no pieces, so it is not a SentencePiece model; give the tokenizer.model that came with the weights")
	case m.modelType != bpe:
		name := map[uint64]string{1: "a unigram", 3: "a word", 4: "a character"}[m.modelType]
		if name == "" {
			name = "an unknown kind of"
		}
		return fmt.Errorf("it is %s model; only BPE models are supported (Llama's are); give the tokenizer.model that came with the weights", name)
	case m.blankAsSuffix:
		return errors.New("it puts blanks after words (treat_whitespace_as_suffix), which is not supported")
	case !m.escapeBlank:
		return errors.New("it keeps blanks as they are (escape_whitespaces off), which is not supported")
	}
	return nil
}

func (m *spModel) tokenizer() (*Tokenizer, error) {
	rules := &byText{ids: make(map[string]int32, len(m.pieces)), rank: make([]int32, len(m.pieces))}
	reserved := map[string]int32{} // pieces that no joining makes
	t := &Tokenizer{
		pieces: m.pieces, rules: rules, unk: -1, fromModel: true,
		norm:       normalizer{squeeze: m.squeezeBlanks, prefix: m.dummyPrefix, everySection: true},
		unkOut:     unkRule{toBytes: m.byteFallback, fuse: true},
		stripFirst: m.dummyPrefix || m.squeezeBlanks,
	}
	var user []string
	for i, p := range m.pieces {
		id := int32(i)
		_, twice := rules.ids[p.text]
		if _, also := reserved[p.text]; twice || also {
			return nil, fmt.Errorf("the piece %q is duplicated", p.text)
		}
		switch p.kind {
		case normal, unused, userDefined:
			rules.ids[p.text] = id
			rules.hasUnused = rules.hasUnused || p.kind == unused
		default:
			reserved[p.text] = id
		}
		switch p.kind {
		case userDefined:
			user = append(user, p.text)
		case unknown:
			if t.unk >= 0 {
				return nil, fmt.Errorf("it has two unknown pieces, %d and %d", t.unk, id)
			}
			t.unk = id
		}
	}
	if t.unk < 0 {
		return nil, errors.New("it has no unknown piece")
	}
	rules.pieces = m.pieces
	rankByScore(rules.rank, m.scores)
	if err := t.finish(); err != nil {
		return nil, err
	}
	t.surface[t.unk] = m.unkSurface
	if len(m.charsMap) > 0 {
		var err error
		if t.norm.chars, err = parseCharsMap(m.charsMap); err != nil {
			return nil, err
		}
	}
	// Control pieces and <unk> are read from the text, as LlamaTokenizer does, which
	// takes them out before SentencePiece sees the rest, part by part.
	t.added, t.whole = newMatcher(), newMatcher()
	for i, p := range m.pieces {
		if p.kind == control || p.kind == unknown {
			t.whole.add(addedPiece{text: p.text, id: int32(i)})
		}
	}
	for _, text := range user {
		t.added.add(addedPiece{text: text, id: rules.ids[text]})
	}
	named := func(name string) int32 {
		if id, ok := reserved[name]; ok && m.pieces[id].kind == control {
			return id
		}
		return -1
	}
	t.bos, t.eos, t.pad = named(m.bosPiece), named(m.eosPiece), named(m.padPiece)
	return t, nil
}

// rankByScore numbers the scores from the highest (0) down; equal scores get
// equal numbers.
func rankByScore(rank []int32, scores []float32) {
	order := slices.Clone(scores)
	slices.Sort(order)
	order = slices.Compact(order)
	for i, s := range scores {
		at, _ := slices.BinarySearch(order, s)
		rank[i] = int32(len(order) - 1 - at)
	}
}
