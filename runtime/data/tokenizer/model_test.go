package tokenizer

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
)

// protobuf writes a message field by field: uint64 as varint, float32 as
// 32 bits, string as bytes.
func protobuf(fields ...any) string {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		number := uint64(fields[i].(int)) << 3
		switch v := fields[i+1].(type) {
		case int:
			b = binary.AppendUvarint(binary.AppendUvarint(b, number), uint64(v))
		case float32:
			b = binary.LittleEndian.AppendUint32(binary.AppendUvarint(b, number|5), math.Float32bits(v))
		case string:
			b = append(binary.AppendUvarint(binary.AppendUvarint(b, number|2), uint64(len(v))), v...)
		}
	}
	return string(b)
}

// testPiece is a piece of a model that a test makes.
type testPiece struct {
	text  string
	score float32
	kind  kind
}

var controls = []testPiece{{"<unk>", 0, unknown}, {"<s>", 0, control}, {"</s>", 0, control}}

// model makes a SentencePiece model: trainer and normalizer are the fields of
// those messages.
func model(pieces []testPiece, trainer, normalizer string) []byte {
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(protobuf(1, protobuf(1, p.text, 2, p.score, 3, int(p.kind))))
	}
	return []byte(b.String() + protobuf(2, protobuf(3, 2)+trainer, 3, normalizer))
}

func byteTable() (list []testPiece) {
	for b := range 256 {
		list = append(list, testPiece{fmt.Sprintf("<0x%02X>", b), 0, byteValue})
	}
	return list
}

// small is a model like Llama's, of few pieces. Ids: 0–2 controls, 3–258
// bytes, then the list below from 259.
func small(t testing.TB, trainer, normalizer string, more ...testPiece) *Tokenizer {
	t.Helper()
	pieces := append(append([]testPiece{}, controls...), byteTable()...)
	for i, text := range []string{"▁▁", "▁t", "he", "▁the", "in", "er", "▁a", "re", "▁there", "▁", "t", "h", "e", "r", "i", "n", "a"} {
		pieces = append(pieces, testPiece{text, -float32(i), normal})
	}
	tok, err := Parse(model(append(pieces, more...), protobuf(35, 1)+trainer, protobuf(4, 0)+normalizer))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// Ids of small.
const (
	xBlankBlank = 259 + iota
	xBlankT
	xHe
	xBlankThe
	xIn
	xEr
	xBlankA
	xRe
	xBlankThere
	xBlank
	xT
	xH
	xE
	xR
	xI
	xN
	xA
)

const xByte = 3 // id of <0x00>
